"""Writes projects/email/mails.csv: e-mails that nobody sent, put together from sentences of our own.

    python docs/make_email_sample.py

Five kinds, and the borders are soft on purpose: a quarter of the sentences are of just any kind, as if somebody quoted
or forwarded them, so that nobody can be right always. The same every time.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path

COUNT = 1500
TARGET = Path(__file__).parent.parent / "projects" / "email" / "mails.csv"

NAMES = ["Ada", "Ben", "Carla", "Dmitri", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Liam", "Mona"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "the weekend", "next week"]
THINGS = ["the budget", "the draft", "the tickets", "the contract", "the photos", "the bikes", "the map", "the keys"]
WARES = ["watches", "phones", "shoes", "software", "lamps", "diets", "coins", "garden chairs"]
OPENINGS = ["Hi {name},", "Dear {name},", "Hello,", "Good morning,", "{name},", "Dear customer,", "Dear friend,", ""]
CLOSINGS = ["Best, {name}", "Kind regards", "Thanks", "Greetings, {name}", "Yours, {name}", "See you", "", ""]
#: What e-mails of each kind say.
KINDS = {
    "work": [
        "Could you look over {thing} before {day}?",
        "The meeting moves to {day} at {n}, same room as last time.",
        "Page {n} of {thing} still has an error in the table.",
        "The patch fixes the crash that {name} reported, but it makes the start slower.",
        "Please write down what confuses you in the prototype.",
        "We have to decide by {day} who presents {thing}.",
        "The customer asked {n} questions about the price, can you answer them?",
        "I put the minutes of {day} into the shared folder.",
    ],
    "private": [
        "We are {n} people for dinner on {day}, tell me if you bring somebody.",
        "Did you find {thing}? I looked under the stairs.",
        "Congratulations, {name}! You have earned it.",
        "If you are free on {day}, we could try the new climbing hall.",
        "Grandma is well again and asks after you.",
        "My train is late, please begin without me.",
        "The children want to see the museum on {day}.",
        "Can you feed the cat until {day}?",
    ],
    "order": [
        "Your order of {n} {wares} has been sent.",
        "The invoice over {n}0 euros is attached.",
        "Your parcel was left with the neighbours.",
        "You can return {wares} within {n} weeks.",
        "We have received your payment, thank you.",
        "The delivery is delayed until {day}.",
        "Your subscription renews on {day} for {n} euros.",
        "Please rate the {wares} that you bought.",
    ],
    "advertising": [
        "Our {wares} are {n}0 % cheaper until {day}.",
        "Be among the first to see the new {wares}.",
        "Members get {n} vouchers for {wares}, join today.",
        "Make your website number one with our help.",
        "Win a trip for {n} in our summer draw.",
        "Learn a language in {n} weeks, the first lesson is free.",
        "This offer ends on {day}, do not miss it.",
        "Everybody talks about our {wares}, order before the stock is gone.",
    ],
    "fraud": [
        "Your account will be closed on {day} unless you confirm the password.",
        "You have won {n}00,000 euros, send your details to collect them.",
        "I need a trusted partner to move {n} million, in confidence.",
        "We noticed an unusual sign-in, verify your card number now.",
        "Buy {n} gift cards at once and send me the codes, I cannot talk now.",
        "Pay a fee of {n} euros to have your parcel released.",
        "Open the attached document and allow its macros.",
        "This coin rose {n}00 % last week, I can invest for you.",
    ],
}
#: The chance that a sentence is of the mail's own kind and not of just any.
OWN = 0.75


def mail(chance: random.Random, kind: str) -> str:
    """An e-mail of two or three sentences between its greetings."""
    parts = [chance.choice(OPENINGS)]
    for _ in range(chance.choice((2, 3, 3))):
        parts.append(chance.choice(KINDS[kind if chance.random() < OWN else chance.choice(list(KINDS))]))
    parts.append(chance.choice(CLOSINGS))
    gaps = [
        {
            "name": chance.choice(NAMES),
            "day": chance.choice(DAYS),
            "thing": chance.choice(THINGS),
            "wares": chance.choice(WARES),
            "n": chance.randint(2, 9),
        }
        for _ in parts
    ]
    return " ".join(part.format(**words) for part, words in zip(parts, gaps) if part)


def main() -> None:
    chance = random.Random(20191002)
    rows: dict[str, str] = {}
    while len(rows) < COUNT:
        kind = list(KINDS)[len(rows) % len(KINDS)]
        rows.setdefault(mail(chance, kind), kind)
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["text", "label"])
        writer.writerows(rows.items())


if __name__ == "__main__":
    main()
