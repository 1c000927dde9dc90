"""What every adapter promises, over IRC: the suite of the bot itself, run with this package's stage."""

import test_adapter_contract

globals().update({name: test for name, test in vars(test_adapter_contract).items() if name.startswith("test_")})


def test_the_suite_is_all_here():
    assert sum(name.startswith("test_") for name in globals()) > 10
