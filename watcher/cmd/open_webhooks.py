# SPDX-License-Identifier: Apache-2.0
"""The warning about open webhooks of audits with auto_trigger: at the start, before an upgrade."""

from typing import Final

from oslo_config import cfg
from oslo_db import exception as db_errors
from oslo_log import log
from sqlalchemy.exc import SQLAlchemyError

from watcher.db import webhook_settings
from watcher.db.session import Database
from watcher.webhooks import credentials

LOG = log.getLogger(__name__)

_NAMED: Final = 10


def warning(conf: cfg.ConfigOpts) -> str | None:
    """One sentence that names such audits, or None if there are none."""
    if conf.webhooks.require_auth_for_auto_trigger:
        return None
    database = Database(conf)
    try:
        with database.reader() as session:
            names = webhook_settings.open_and_acting(
                session, credentials.effective_auth(None, conf)
            )
    finally:
        database.dispose()
    if not names:
        return None
    named = ", ".join(names[:_NAMED])
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        "Whoever reaches the API can make the cloud move servers through the open webhooks of "
        f"these audits with auto_trigger: {named}{more}; give the webhooks an auth, or set "
        "[webhooks] default_auth or require_auth_for_auto_trigger."
    )


def warn(conf: cfg.ConfigOpts) -> None:
    """Log it.  Errors of the database do not stop the service."""
    try:
        sentence = warning(conf)
    except (db_errors.DBError, SQLAlchemyError) as error:
        LOG.warning("Open webhooks of audits with auto_trigger cannot be looked up now: %s", error)
    else:
        if sentence:
            LOG.warning("%s", sentence)
