"""The check digits of numbers that carry some: they tell a card or an account from any other row of digits.

Knows nothing of texts: a number comes without spaces and hyphens.
"""

import hashlib

# Length of an IBAN by country, from the IBAN registry of SWIFT (ISO 13616), release 98.
_IBAN_LENGTHS = {
    length: countries.split()
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
}
IBAN_LENGTHS = {country: length for length, countries in _IBAN_LENGTHS.items() for country in countries}

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def has_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def has_iban_check(iban: str) -> bool:
    """Whether country, length and check digits of an account number agree (ISO 13616, ISO/IEC 7064 MOD 97-10)."""
    iban = iban.upper()
    if IBAN_LENGTHS.get(iban[:2]) != len(iban):
        return False
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


def has_base58_check(address: str) -> bool:
    """Whether an address of Bitcoin in Base58Check ends in the hash of what comes before."""
    number = 0
    for character in address:
        if (digit := _BASE58.find(character)) < 0:
            return False
        number = number * 58 + digit
    if number.bit_length() > 25 * 8:
        return False
    data = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(data[:-4]).digest()).digest()[:4] == data[-4:]


def has_bech32_check(address: str) -> bool:
    """Whether an address of Bitcoin that begins with `bc1` has the checksum of Bech32 or Bech32m (BIP 173, BIP 350)."""
    prefix, _, data = address.lower().rpartition("1")
    if not data or any(character not in _BECH32 for character in data):
        return False
    values = [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]
    values += [_BECH32.index(character) for character in data]
    return _bech32_polymod(values) in (1, 0x2BC830A3)


def _bech32_polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if top >> place & 1 else 0
    return checksum
