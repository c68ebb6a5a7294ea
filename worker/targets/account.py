"""Accounts at HostUp: what the first one is called, and what things are called that each of them has."""

from __future__ import annotations

DEFAULT_ACCOUNT = "default"
"""The account that ``[hostup]`` and ``[storage]`` describe; a target that names none belongs to it."""


def named_for(account: str, name: str, joint: str) -> str:
    """What is called ``name`` of the default account, of another one: that with ``joint`` and the account behind it."""
    return name if account == DEFAULT_ACCOUNT else f"{name}{joint}{account}"


def account_option(account: str) -> str:
    """The option of a command that is about this account, with a blank before it."""
    return "" if account == DEFAULT_ACCOUNT else f" --account {account}"


def account_word(account: str) -> str:
    """The argument of a command that takes the account itself, with a blank before it."""
    return "" if account == DEFAULT_ACCOUNT else f" {account}"


def endpoint_table(account: str) -> str:
    """The table of the configuration in which an account's endpoint and region stand."""
    return "[storage]" if account == DEFAULT_ACCOUNT else f"[[account]] {account}"


def address_of_hostup(account: str) -> str:
    """The setting that says where an account's API is."""
    return "hostup.base_url" if account == DEFAULT_ACCOUNT else f"base_url of [[account]] {account}"


def hostup_table(account: str) -> str:
    """The table of the configuration that says how an account's API is called upon."""
    return "[hostup]" if account == DEFAULT_ACCOUNT else f"[[account]] {account}"


def logged(account: str) -> dict[str, str]:
    """The field of a log line that is about an account; none for the default one, which may be the only one."""
    return {} if account == DEFAULT_ACCOUNT else {"account": account}


def at_account(account: str) -> str:
    """Words that follow a sentence; nothing for the default account, which may be the only one."""
    return "" if account == DEFAULT_ACCOUNT else f" (account {account})"
