# SPDX-License-Identifier: Apache-2.0
project = "Watcher API reference"
project_copyright = "the Watcher contributors"
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px"}
html_show_sourcelink = False
