"""Check digits, against numbers that the specifications and issuers publish as examples."""

import pytest

from finetune.cleaning.checksums import has_base58_check, has_bech32_check, has_iban_check, has_luhn

RIGHT = {
    has_luhn: ["79927398713", "4111111111111111", "378282246310005", "6011111111111117"],
    has_iban_check: [
        "GB82WEST12345698765432",
        "DE89370400440532013000",
        "NO9386011117947",
        "fr1420041010050500013m02606",
    ],
    has_base58_check: ["1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"],
    has_bech32_check: [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",  # BIP 173
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",  # BIP 350
    ],
}


@pytest.mark.parametrize(("has_check", "numbers"), RIGHT.items())
def test_a_published_number_has_the_right_check_digits(has_check, numbers):
    assert all(map(has_check, numbers))


@pytest.mark.parametrize(("has_check", "numbers"), RIGHT.items())
def test_a_number_with_one_character_changed_has_not(has_check, numbers):
    for number in numbers:
        for place in range(4, len(number)):
            other = "3" if number[place] != "3" else "4"
            assert not has_check(number[:place] + other + number[place + 1 :]), number


def test_an_account_number_of_no_country_or_of_the_wrong_length_has_no_check():
    assert not has_iban_check("ZZ82WEST12345698765432")
    assert not has_iban_check("GB82WEST1234569876543")
