# SPDX-License-Identifier: Apache-2.0
project = "Watcher"
project_copyright = "the Watcher contributors"
extensions = ["openstackdocstheme", "oslo_config.sphinxext", "oslo_policy.sphinxext"]
html_theme = "openstackdocs"
html_theme_options = {"show_other_versions": False}
openstackdocs_auto_name = False
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
