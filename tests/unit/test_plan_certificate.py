"""The plan of role certificate, and what is left to do when nginx answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible.parsing import dataloader
from ansible.template import Templar
from ansible_collections.flaskops.stack.plugins.filter.certificate import FilterModule
from ansible_collections.flaskops.stack.plugins.module_utils.certificate.pair import self_signed
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan import certificate, web_tier
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.options import defaults
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.result import Controller, Plan
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.roles import plan_role
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.site import read_site
from ansible_collections.flaskops.stack.plugins.plugin_utils.plan.view import View

certificate_work = FilterModule().filters()["certificate_work"]

LOADER: Any = vars(dataloader)["DataLoader"]()
PLAIN = {
    "certificate_name": "shop",
    "certificate_source": "acme",
    "certificate_domains": ["shop.example"],
}


def template(variables: Mapping[str, Any], value: Any) -> Any:
    return Templar(loader=LOADER, variables=dict(variables)).template(value)


def planned(controller: Controller | None = None, **options: Any) -> Plan:
    """The plan for some options over the defaults."""
    values = {**defaults("certificate"), **PLAIN, **options}
    known = controller or Controller(host="a")
    return plan_role("certificate", values, template, known)


def test_one_host_issues_it_and_the_others_take_it() -> None:
    hosts: dict[str, Any] = {
        "certificate_hosts": ["b", "a"],
        "certificate_issuer_address": "fd00::1",
    }
    mine, other = planned(**hosts), planned(Controller(host="b"), **hosts)
    assert (mine.problems, other.problems) == ([], [])
    assert (mine.data["issues"], other.data["issues"]) == (True, False)
    assert mine.packages == ["openssl", "certbot"]
    assert other.packages == ["openssl"]
    url = "http://[fd00::1]:80/.well-known/flaskops-tls/shop"
    assert mine.data["issuer_url"] == other.data["issuer_url"] == url


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"certificate_name": "Shop"}, 'certificate_name: found "Shop"'),
        ({"certificate_domains": ["https://a"]}, "certificate_domains: found"),
        ({"certificate_domains": []}, "certificate_domains: found []"),
        ({"certificate_domains": ["*.a.example"]}, 'and none with "*"'),
        ({"certificate_acme_server": "http://a"}, "certificate_acme_server: found"),
        ({"certificate_email": "me"}, "certificate_email: found"),
        ({"certificate_renew_before_days": -1}, "certificate_renew_before_days: found -1"),
        ({"certificate_issuer_port": 0}, "certificate_issuer_port: found 0"),
        ({"certificate_issuer": "z"}, 'certificate_issuer: found "z"; allowed is one of a'),
        ({"certificate_source": "files"}, "certificate_fullchain: found no certificate"),
        (
            {"certificate_source": "files", "certificate_private_key": "gone.pem"},
            "certificate_private_key: found neither PEM text nor a file that can be read",
        ),
        ({"certificate_source": "bought"}, "certificate_source"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], said: str) -> None:
    problems = planned(**options).problems
    assert any(said in problem for problem in problems), problems


def test_no_part_of_a_key_is_told() -> None:
    problems = planned(certificate_source="files", certificate_private_key="MIIsecret").problems
    assert problems
    assert "MIIsecret" not in "".join(problems)


def test_without_a_source_nothing_is_done_or_refused() -> None:
    plan = planned(certificate_source="none", certificate_name="Shop")
    assert (plan.data["acts"], plan.problems, plan.packages) == (False, [], [])
    gone = planned(certificate_state="absent", nginx_state="absent", nginx_site="shop")
    assert (gone.data["acts"], gone.data["leaving"], gone.packages) == (True, "shop", [])


@pytest.mark.parametrize(
    ("entry_point", "options", "leaving"),
    [
        ("main", {"nginx_site": "demo"}, ""),
        ("main", {"nginx_site": "demo", "nginx_state": "absent"}, "demo"),
        ("main", {"certificate_leaving_site": "demo"}, "demo"),
        ("main", {"certificate_leaving_site": "", "nginx_state": "absent"}, ""),
        ("retire", {"nginx_site": "demo"}, "demo"),
        ("retire", {}, "shop"),
        ("retire", {"certificate_leaving_site": ""}, ""),
    ],
)
def test_a_site_that_goes_does_not_keep_the_certificate(
    entry_point: str, options: dict[str, Any], leaving: str
) -> None:
    plan = planned(Controller(host="a", entry_point=entry_point), **options)
    assert plan.data["leaving"] == leaving


def test_the_issuer_may_listen_on_another_port() -> None:
    assert ":8080/" in planned(certificate_issuer_port=8080).data["issuer_url"]


def test_a_given_pair_is_read_from_the_controller() -> None:
    made = self_signed(["shop.example"], "files")
    pair = (made.fullchain.decode(), made.key.decode())
    paths = {"shop.pem": pair[0], "shop.key": pair[1]}
    plan = planned(
        Controller(host="a", read=paths.__getitem__),
        certificate_source="files",
        certificate_fullchain="shop.pem",
        certificate_private_key="shop.key",
    )
    assert (plan.problems, plan.packages) == ([], ["openssl"])
    assert (plan.data["fullchain"], plan.data["private_key"]) == tuple(map(str.rstrip, pair))


@pytest.mark.parametrize("source", ["acme", "self_signed", "none"])
def test_only_a_given_pair_is_looked_at(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setattr(certificate, "pair_problems", lambda *_given: ["looked"])
    given: dict[str, Any] = {
        "certificate_fullchain": "-----BEGIN x",
        "certificate_private_key": "-----BEGIN y",
    }
    plan = planned(certificate_source=source, **given)
    assert plan.problems == []
    assert (plan.data["fullchain"], plan.data["private_key"]) == ("", "")
    assert planned(certificate_source="files").problems == ["looked"]


# What the topology decides -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "leaving"),
    [
        ({}, "shop"),
        ({"nginx_tls": True}, ""),
        ({"certificate_source": "acme"}, ""),
        ({"certificate_source": "acme", "nginx_state": "absent"}, "shop"),
        ({"certificate_state": "absent"}, ""),
        ({"certificate_state": "absent", "nginx_state": "absent"}, "shop"),
        ({"certificate_leaving_site": "other"}, "other"),
    ],
)
def test_the_web_tier_says_which_site_goes(given: dict[str, Any], leaving: str) -> None:
    said = {"nginx_site": "shop", "nginx_server_name": ["a.example"], "nginx_port": "8080", **given}
    site = read_site({"all": ["web1"], "web": ["web1"]}, {"web1": said})
    tier = web_tier.plan(View("web1", site, said, template))
    assert tier.problems == []
    assert tier.options["certificate_leaving_site"] == leaving
    assert tier.options["certificate_issuer_port"] == 8080


def test_pem_may_be_a_path_on_the_controller() -> None:
    texts = {"ca.pem": "-----BEGIN CERTIFICATE-----\nx\n"}
    controller = Controller(host="a", read=texts.__getitem__)
    assert planned(controller, certificate_acme_ca="ca.pem").data["acme_ca"].endswith("\nx")


# When nginx answers ------------------------------------------------------------------------------


def work(host: str, results: dict[str, Any], issued: dict[str, Any] | None = None) -> Any:
    """What a host has to do, by what all hosts said of themselves."""
    plan = planned(Controller(host=host), certificate_hosts=["a", "b"]).data
    hostvars: dict[str, dict[str, Any]] = {
        name: {"certificate_result": result} for name, result in results.items()
    }
    if issued is not None:
        hostvars["a"]["certificate_issued"] = issued
    return certificate_work(plan, hostvars)


def result(name: str, *, settled: bool = True, **known: str) -> dict[str, Any]:
    return {"settled": settled, "host_certificate": f"of {name}", "known_certificates": known}


def test_where_all_know_each_other_nothing_is_left() -> None:
    results = {"a": result("a", b="of b"), "b": result("b", a="of a")}
    for host in "ab":
        found = work(host, results)
        assert not any(found[name] for name in ("issues", "fetches", "needed"))


def test_a_host_that_is_new_is_made_known() -> None:
    results = {"a": result("a"), "b": result("b", settled=False)}
    found = work("a", results)
    assert found["issues"]
    assert found["needed"]
    assert found["host_certificates"] == {"b": "of b"}
    assert work("b", results, {"changed": True})["fetches"]


def test_what_is_issued_now_is_fetched_by_the_others() -> None:
    """The issuer alone knows that it is due; before it has answered, the others go along."""
    results = {"a": result("a", settled=False, b="of b"), "b": result("b", a="of a")}
    before = work("b", results)
    assert (before["needed"], before["fetches"]) == (True, False)
    assert work("b", results, {"changed": True})["fetches"]
    assert not work("b", results, {"changed": False})["fetches"]


def test_what_was_not_issued_is_not_taken() -> None:
    results = {"a": result("a", settled=False), "b": result("b", settled=False)}
    assert work("a", results)["issues"]
    assert not work("b", results, {"failed": True})["fetches"]


def test_a_run_that_did_not_look_does_nothing() -> None:
    found = work("a", {"a": {}, "b": {}})
    assert not any(found[name] for name in ("issues", "fetches", "needed"))
