# SPDX-License-Identifier: Apache-2.0
project = "Watcher API reference"
project_copyright = "the Watcher contributors"
extensions = ["openstackdocstheme"]
html_theme = "openstackdocs"
html_theme_options = {"analytics_tracking_code": "", "show_other_versions": False}
openstackdocs_auto_name = False
html_show_sourcelink = False
html_static_path = ["../../doc/source/_static"]
html_css_files = ["tables.css"]
