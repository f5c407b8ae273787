"""Names that fictional people, streets and subjects are put together from."""

GIVEN_NAMES = (
    "Ada", "Aidan", "Alba", "Amara", "Anwen", "Arlo", "Asha", "Bea", "Blythe", "Bram", "Cai", "Celeste", "Chidi",
    "Clover", "Dara", "Della", "Dilys", "Edie", "Eilidh", "Elio", "Emeka", "Esme", "Farah", "Fern", "Finlo", "Gethin",
    "Gwen", "Hamza", "Hollis", "Idris", "Imogen", "Indigo", "Iona", "Jago", "Jasper", "Juno", "Kezia", "Kit", "Lark",
    "Leila", "Linus", "Lowri", "Mabel", "Mina", "Nadia", "Nerys", "Noor", "Odette", "Olwen", "Orla", "Otis", "Pia",
    "Priya", "Quill", "Rafe", "Renée", "Rhian", "Robin", "Rowan", "Sabine", "Seán", "Selma", "Silas", "Sorrel", "Tansy",
    "Tariq", "Teddy", "Thea", "Tobin", "Una", "Viola", "Wilf", "Winnie", "Xanthe", "Yara", "Yusuf", "Zadie", "Zoë",
)  # fmt: skip
FAMILY_NAMES = (
    "Applegarth", "Barleycroft", "Bellwether", "Birchenough", "Brambley", "Brightwater", "Candlewick", "Cloudesley",
    "Coppergate", "Dandridge-Fell", "Dewberry", "Dragonby", "Elderwood", "Fairweather", "Featherby", "Foxwhistle",
    "Goldfinch", "Greenhollow", "Harrowgreen", "Hazelrigg", "Honeychurch", "Inkpen", "Jessamy", "Kestrelman",
    "Kindlewood", "Larkspur", "Lockhollow", "Marchbanks-Oake", "Meadowcroft", "Merryweather", "Mossop-Vale",
    "Nettleship", "Nightingall", "O\N{RIGHT SINGLE QUOTATION MARK}Farrow", "Oakenshaw", "Orchardson", "Pebblewhite",
    "Pennyfeather", "Plumtree", "Quickthorn", "Ravensbeck", "Rosewarne", "Rushbrooke", "Silverdale", "Snowdrop",
    "Starling", "Summerscale", "Swanmoor", "Thistlewood", "Thornycroft", "Tumbledown", "Underhay", "Vinterby",
    "Wagstaffe", "Weatherwax", "Whitethorn", "Wildgoose", "Willowes", "Winterbourne", "Yarrowby",
)  # fmt: skip
STREETS = (
    "Teasel Lane", "Kingfisher Rise", "Old Mill Row", "Harebell Close", "Orchard Bank", "Sparrow Street",
    "Lantern Hill", "Bluebell Avenue", "Smithy Fold", "Watercress Way",
)  # fmt: skip
HOUSES = ("Falcon", "Heron", "Kestrel", "Osprey")
SUBJECTS = {
    "English": "En", "Mathematics": "Ma", "Science": "Sc", "History": "Hi", "Geography": "Gg", "French": "Fr",
    "Art": "Ar", "Physical Education": "Pe",
}  # fmt: skip
OTHER_ROLES = (
    "Headteacher", "Deputy Headteacher", "SENCO", "School Business Manager", "Examinations Officer", "Data Manager",
    "Receptionist", "Librarian",
)  # fmt: skip
ETHNICITIES = (
    "White - British", "White - Irish", "Indian", "Pakistani", "Bangladeshi", "Black - African", "Black Caribbean",
    "Chinese", "White and Black Caribbean", "Any other ethnic group", "Information not yet obtained",
)  # fmt: skip
LANGUAGES = ("English", "English", "English", "English", "Polish", "Urdu", "Welsh", "Punjabi", "Arabic", "French")
SEN_NEEDS = (
    "Specific learning difficulty", "Moderate learning difficulty", "Autistic spectrum disorder", "Hearing impairment",
    "Speech, language and communication needs", "Social, emotional and mental health",
)  # fmt: skip
CONDITIONS = ("Asthma", "Type 1 diabetes", "Epilepsy", "Eczema", "Migraine")
ALLERGIES = ("Peanuts", "Penicillin", "Bee stings", "Cow\N{RIGHT SINGLE QUOTATION MARK}s milk", "Latex")
DIETS = ("Vegetarian", "Vegan", "Halal", "Kosher", "Gluten free")
DOCTORS = ("Dr Larch, Teasel Lane Surgery", "Dr Plume, Lantern Hill Practice", "Dr Wren, Old Mill Health Centre")
