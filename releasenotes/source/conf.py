# SPDX-License-Identifier: Apache-2.0
project = "Watcher release notes"
project_copyright = "the Watcher contributors"
extensions = ["reno.sphinxext"]
html_theme = "alabaster"
html_show_sourcelink = False
