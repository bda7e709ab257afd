# SPDX-License-Identifier: Apache-2.0
"""gunicorn for Watcher's API: gunicorn --config watcher.conf.py

A proxy that buffers requests has to stand before it, such as nginx with the file of the
installation guide: gunicorn has no time limit for a request that arrives byte by byte.
"""

import multiprocessing

wsgi_app = "watcher.wsgi.api:application"
bind = "unix:/run/watcher/api.sock"
workers = multiprocessing.cpu_count()
worker_class = "gthread"
threads = 16
# A worker that does not answer its parent for so many seconds is replaced.
timeout = 60
graceful_timeout = 60
# The application opens its connections and starts its threads in each worker.
preload_app = False
umask = 0o007
