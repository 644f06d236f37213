"""
The names in a company made up by `company.py`: its people, their partners, their meetings.

All are invented, and the domains are those that Microsoft keeps for examples.
"""

import unicodedata
from random import Random
from typing import Final

from worker.sandbox.calendar.event import Person

# fmt: off
_FIRST: Final = (
    "Ada", "Aisha", "Alma", "Amir", "Anna", "Arjun", "Astrid", "Beatriz", "Ben", "Carla",
    "Chen", "Clara", "Daniel", "Diego", "Elena", "Emil", "Esra", "Eva", "Farid", "Felix",
    "Freya", "Gabriel", "Grace", "Hana", "Henrik", "Hugo", "Ines", "Ingrid", "Isak", "Ivan",
    "Jakub", "Jana", "Jonas", "José", "Julia", "Kaito", "Karim", "Kofi", "Lars", "Leila",
    "Lina", "Luca", "Lucía", "Magnus", "Mai", "Malik", "Marta", "Mateo", "Maya", "Mei", "Mia",
    "Milan", "Nadia", "Nils", "Noor", "Olga", "Omar", "Paolo", "Petra", "Priya", "Rafael",
    "Rosa", "Samir", "Sara", "Selma", "Sofia", "Sven", "Tariq", "Tomás", "Vera", "Viktor",
    "Yara", "Yusuf", "Zoë",
)
_LAST: Final = (
    "Abebe", "Adler", "Ahmed", "Alvarez", "Andersen", "Bakker", "Baumann", "Becker",
    "Bergström", "Bianchi", "Brandt", "Castro", "Chen", "Costa", "Dahl", "Diaz", "Dimitrov",
    "Dubois", "Eriksen", "Fischer", "Fontana", "García", "Gupta", "Haddad", "Hansen",
    "Hoffmann", "Horvat", "Ibrahim", "Ito", "Ivanov", "Jansen", "Jensen", "Kaya", "Keller",
    "Khan", "Kim", "Klein", "Kovács", "Kowalski", "Kumar", "Larsen", "Lehmann", "Lindqvist",
    "Lopez", "Marino", "Martin", "Mensah", "Meyer", "Mori", "Moreau", "Müller", "Nagy",
    "Nakamura", "Nguyen", "Nielsen", "Novák", "Okafor", "Olsen", "Osei", "Pereira", "Petrov",
    "Popescu", "Rahman", "Ramos", "Ricci", "Rossi", "Saito", "Santos", "Schmidt", "Silva",
    "Singh", "Sørensen", "Tanaka", "Torres", "Varga", "Vogel", "Weber", "Wójcik", "Yamada",
    "Yilmaz", "Zhang",
)
# fmt: on
_LETTERS: Final = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "ß": "ss"})

STAFF: Final = Person("All staff", "all.staff@contoso.com")
GUESTS: Final = (
    Person("Olga Organizer", "olga.organizer@fabrikam.com"),
    Person("Robert Berg", "robert.berg@fabrikam.com"),
    Person("Alice Moreno", "alice.moreno@northwindtraders.com"),
    Person("Jun Sato", "jun.sato@adatum.com"),
    Person("Events", "events@tailspintoys.com"),
    Person("Nora Lund", "nora.lund@fourthcoffee.com"),
)
TEAMS: Final = ("Billing", "Field sales", "Legal", "Logistics", "Payroll", "Platform", "Support")
MEETINGS: Final = (
    "Budget review",
    "Contract draft",
    "Design review",
    "Hiring panel",
    "Incident follow-up",
    "Launch plan",
    "Price list",
    "Release check",
    "Supplier choice",
    "Workshop: onboarding",
)
PARTNERS: Final = (
    "Annual fair",
    "Audit interview",
    "Contract renewal",
    "Demo of the new version",
    "Joint press release",
    "Quarterly numbers",
    "Site visit",
)
CALLS: Final = ("Account call", "Delivery status", "Service review")
PRIVATE: Final = ("Dentist", "Focus time", "Moving house", "On leave", "Train to Bergen")


def make_people(chance: Random, count: int) -> list[Person]:
    """Return so many people, no two with one address."""
    names = [f"{first} {last}" for first in _FIRST for last in _LAST]
    return [Person(name, f"{_spelled(name)}@contoso.com") for name in chance.sample(names, count)]


def _spelled(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.translate(_LETTERS)).encode("ascii", "ignore")
    return plain.decode().lower().replace(" ", ".")
