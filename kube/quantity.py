"""Quantities of Kubernetes, such as `20Gi`, `500M` or `1e9`. Pure.

Source: k8s.io/apimachinery, resource.Quantity.
"""

import decimal
import re

from core import errors

_FORM = re.compile(
    r"([+-]?[0-9]+(?:\.[0-9]*)?|[+-]?\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]{1,3})?"
)
_BINARY = {unit: 1 << (10 * (n + 1)) for n, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_CHARS_MAX = 64


def parse(field: str, text: str) -> int:
    """Whole number that *text* says, rounded up as Kubernetes does. Raises InvalidField."""
    match = _FORM.fullmatch(text) if len(text) <= _CHARS_MAX else None
    if match is None:
        raise errors.InvalidField(
            field, "is not a quantity", value=text, allowed="a number such as 20Gi, 500M, 1e9"
        )
    number, unit = decimal.Decimal(match[1]), match[2] or ""
    if unit in _BINARY:
        number *= _BINARY[unit]
    elif unit in _DECIMAL:
        number = number.scaleb(_DECIMAL[unit])
    elif unit:
        number = number.scaleb(int(unit[1:]))
    return int(number.to_integral_value(rounding=decimal.ROUND_CEILING))
