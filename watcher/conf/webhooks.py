# SPDX-License-Identifier: Apache-2.0
from oslo_config import cfg

AUTH = ("none", "secret", "keystone")

OPTIONS = [
    cfg.StrOpt(
        "default_auth",
        default="none",
        choices=AUTH,
        help="What a webhook requires of clients that post to it, unless it has its own "
        "setting: nothing, its secret, or a keystone token that satisfies the policy "
        "webhook:trigger.",
    ),
    cfg.BoolOpt(
        "allow_names",
        default=True,
        help="Whether the URL of a webhook may have the name of its audit, too, or the UUID "
        "only, which cannot be guessed.",
    ),
    cfg.IntOpt(
        "max_recorded_per_minute",
        default=60,
        min=1,
        help="Events of one audit that are recorded in a minute. Further events are only counted, "
        "except an accepted one that no waiting run covers: its run waits until the minute is "
        "over.",
    ),
    cfg.IntOpt(
        "keep_events_days",
        default=30,
        min=0,
        mutable=True,
        help="Days after which the decision engine removes recorded events whose run is over; 0 "
        "keeps them for as long as their audit. The metrics still count removed ones.",
    ),
    cfg.BoolOpt(
        "require_auth_for_auto_trigger",
        default=False,
        help="Leave the plans of audits with auto_trigger RECOMMENDED as long as their webhook "
        "requires no credential.",
    ),
    cfg.IntOpt(
        "max_body_size",
        default=2 * 1024 * 1024,
        min=1024,
        help="Largest body of a webhook request that is read, in bytes.",
    ),
    cfg.IntOpt(
        "max_stored_payload",
        default=64 * 1024,
        min=1024,
        help="Bytes of a message that are kept with its event. Of a larger message the "
        "beginning is kept, with a note; the run gets all of it.",
    ),
]
