# SPDX-License-Identifier: Apache-2.0
"""What the API needs to know of keystone at its start."""

import os

from watcher import conf as watcher_conf
from watcher.api import keystone
from watcher.common.errors import Invalid
from watcher.tests.base import TestCase

WHOLE = "auth_type = password\nauth_url = http://k\nusername = u\npassword = p\n"


class RequireTestCase(TestCase):
    def require(self, options: str) -> None:
        path = os.path.join(self.directory, "watcher.conf")
        with open(path, "w") as file:
            file.write(options)
        keystone.require(watcher_conf.load([], [path]))

    def missing(self, options: str) -> str:
        return str(self.assertRaises(Invalid, self.require, options))

    def test_what_is_missing_is_named(self) -> None:
        section = "[keystone_authtoken]\n"
        self.assertIn(
            "[keystone_authtoken] auth_type, auth_url, username, password: must", self.missing("")
        )
        self.assertIn("] auth_type: must", self.missing(section + WHOLE.partition("\n")[2]))
        self.assertIn("] password: must", self.missing(section + WHOLE.partition("password = ")[0]))
        self.assertIn("] auth_url: must", self.missing(section + "auth_type = v3token\n"))
        self.assertIn("no plug-in 'magic'", self.missing(section + "auth_type = magic\n"))

    def test_enough(self) -> None:
        self.require("[keystone_authtoken]\n" + WHOLE)
        self.require("[keystone_authtoken]\n" + WHOLE.replace("username", "user_id"))
        self.require(f"[keystone_authtoken]\nauth_section = common\n[common]\n{WHOLE}")

    def test_a_section_of_its_own(self) -> None:
        self.assertIn(
            "[common] auth_url, username, password: must",
            self.missing("[keystone_authtoken]\nauth_section=common\n[common]\nauth_type=password"),
        )
