# SPDX-License-Identifier: Apache-2.0
project = "Watcher"
project_copyright = "the Watcher contributors"
extensions = ["oslo_config.sphinxext", "oslo_policy.sphinxext"]
html_theme = "alabaster"
html_theme_options = {"description": "Resource optimization for OpenStack", "page_width": "1100px"}
html_show_sourcelink = False
