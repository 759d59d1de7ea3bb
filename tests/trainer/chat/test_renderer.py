"""Templates run alone, within limits, and the same every time."""

import time

import pytest

from trainer.chat import renderer
from trainer.chat.renderer import Renderer, TemplateFault, Written

MESSAGES = [{"role": "user", "content": "hi"}]


def written(template: str, date: str = "") -> Written | str:
    with Renderer(template, {"bos_token": "<s>"}, date) as running:
        return running.render([(MESSAGES, False)])[0]


def test_a_template_has_what_transformers_gives_it() -> None:
    text = "{{ bos_token }}{% for m in messages %}{{ m | tojson }}{% if loop.last %}{% break %}{% endif %}{% endfor %}"
    assert written(text) == Written('<s>{"role": "user", "content": "hi"}', ())
    marked = "a{% generation %}b{{ messages[0].content }}{% endgeneration %}c{% generation %}d{% endgeneration %}"
    assert written(marked) == Written("abhicd", ((1, 4), (5, 6)))
    assert written("{{ tools is none }} {{ strftime_now is defined }}") == Written("True False", ())
    assert written("{{ strftime_now('%d %b %Y') }}", "2026-11-28") == Written("28 Nov 2026", ())


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ messages.__class__.__mro__ }}", "access to attribute '__class__' of 'list' object is unsafe."),
        ("{{ messages.append(1) }}", "access to attribute 'append' of 'list' object is unsafe."),
        ("{{ raise_exception('no system') }}", "no system"),
        ("{{ 'a' * 10 ** 12 }}", "MemoryError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "maximum recursion depth exceeded"),
        ("{{ ''.join }}", "writes the address of an object, which differs every time"),
        ("{% for i in range(90000) %}{{ 'a' * 100 }}{% endfor %}", "writes more than 4194304 characters"),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_template_does_wrong_is_said(template: str, reason: str) -> None:
    assert written(template) == reason


@pytest.mark.parametrize("template", ["{% if", "{{ [1, 2] | random }}", "{% include '/etc/passwd' %}{{"])
def test_what_is_no_template_is_refused(template: str) -> None:
    with pytest.raises(TemplateFault, match="the base's chat template is no template: "):
        written(template)


def test_a_template_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "ANSWER_SECONDS", 0.5)
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    began = time.monotonic()
    with pytest.raises(
        TemplateFault, match=r"does not end within 0\.5 s on one conversation; write chat_template: never"
    ):
        written(loop)
    assert time.monotonic() - began < 10


def test_memory_that_grows_without_end_is_refused() -> None:
    assert (
        written(
            "{% set ns = namespace(x='a' * 1000) %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"
        )
        == "MemoryError"
    )


def test_a_template_reads_no_file_and_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_USER", "x")
    assert "no loader" in str(written("{% include '/etc/passwd' %}"))
    assert written("{{ environ is defined }}{{ os is defined }}") == Written("FalseFalse", ())
