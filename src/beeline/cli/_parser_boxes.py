"""Messages out of the boxes that the parser of the command line draws around them."""

import itertools
import re


def one_line(box: str) -> str:
    """Say in a line what the parser has to say.

    Args:
        box: What it printed.

    Returns:
        The message.
    """
    # The parser draws a box, of ASCII where it must: a title, the message, a rule, and help.
    lines = [line.strip("│|╭╮╰╯ ") for line in box.strip().splitlines()]
    texts = [list(group) for rule, group in itertools.groupby(lines, _is_rule) if not rule]
    titled = len(texts) > 1 and not _is_rule(lines[0])
    message = " ".join(texts[titled] if texts else lines).strip()
    message = re.sub(
        r"Error parsing (\S+): invalid literal for int\(\) with base 10: (.*)",
        r"\1 is \2: give an integer",
        message,
    )
    if "Perhaps you meant:" in lines:
        message += f"; perhaps you meant {lines[lines.index('Perhaps you meant:') + 1]}"
    return message


def _is_rule(line: str) -> bool:
    return line.endswith(("───", "---"))
