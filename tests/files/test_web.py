"""Requests over HTTP; those of real servers are in `test_stores`."""

from __future__ import annotations

import urllib.request
from http.client import HTTPMessage

from gencli.files.web import _Redirects


def test_a_redirection_keeps_credentials_on_the_host_alone() -> None:
    asked = urllib.request.Request("https://host/a", headers={"Authorization": "secret"})
    for address, kept in (("https://host/b", True), ("https://other/a", False), ("https://host:444/a", False)):
        following = _Redirects().redirect_request(asked, None, 302, "", HTTPMessage(), address)
        assert following is not None
        assert following.has_header("Authorization") == kept
