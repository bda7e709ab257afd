# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

OPTIONS = [
    cfg.PortOpt("port", default=9322, help="Port that watcher-api listens on."),
    cfg.HostAddressOpt("host", default="127.0.0.1", help="Address that watcher-api listens on."),
    cfg.IntOpt(
        "max_limit",
        default=1000,
        min=1,
        help="Maximum number of items in one page of a list, and the default if a request has "
        "no limit.",
    ),
    cfg.IntOpt("workers", min=1, help="Processes of watcher-api; by default one for each CPU."),
    cfg.IntOpt(
        "threads",
        default=16,
        min=1,
        help="Requests that one process of watcher-api handles at once. Requests that have not "
        "arrived completely take no thread.",
    ),
    cfg.IntOpt(
        "request_timeout",
        default=30,
        min=1,
        help="Seconds that a request may take to arrive at watcher-api, header and body.",
    ),
    cfg.BoolOpt(
        "enable_ssl_api",
        default=False,
        help="Serve https, with the certificate and key of the [ssl] group.",
    ),
    cfg.BoolOpt(
        "enable_webhooks_auth",
        default=False,
        help="Require alarm services that post to a webhook to have a keystone token that "
        "satisfies the policy webhook:trigger, unless the webhook has its own setting. The "
        "same as [webhooks] default_auth = keystone, which it overrides.",
    ),
]
SSL_OPTIONS = [
    cfg.StrOpt("cert_file", help="Certificate file, with the chain, for enable_ssl_api."),
    cfg.StrOpt("key_file", help="Private key file for enable_ssl_api."),
]
