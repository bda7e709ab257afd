# SPDX-License-Identifier: Apache-2.0
from importlib.metadata import version as installed_version

project = "Watcher"
project_copyright = "the Watcher contributors"
extensions = ["openstackdocstheme", "oslo_config.sphinxext", "oslo_policy.sphinxext"]
html_theme = "openstackdocs"
html_theme_options = {"analytics_tracking_code": "", "show_other_versions": False}
openstackdocs_auto_name = False
# pbr takes it from tags, and a fork or a clone without its history has none.
openstackdocs_auto_version = False
version = release = installed_version("python-watcher")
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
