//! Names of fictitious people: common first names, and surnames invented for this list.

use std::collections::HashSet;

use super::Dice;

pub(super) const DOMAIN: &str = "corp.example";
pub(super) const SECOND_DOMAIN: &str = "mail.corp.example";
pub(super) const BRAND_DOMAIN: &str = "brand.example";
/// Not claimed.
pub(super) const LEGACY_DOMAIN: &str = "legacy.example";

const FIRST: [&str; 40] = [
    "Anouk", "Bram", "Carlijn", "Daan", "Eline", "Floris", "Gijs", "Hanneke", "Ilse", "Jorrit",
    "Karlijn", "Lotte", "Maarten", "Noor", "Olaf", "Pleun", "Quinten", "Roos", "Sanne", "Teun",
    "Ursula", "Veerle", "Wouter", "Xandra", "Yara", "Zoë", "Renée", "Jürgen", "Søren", "Chloé",
    "Amber", "Brian", "Claire", "Dylan", "Emily", "Fiona", "Grace", "Harvey", "Isla", "Jack",
];

const LAST: [&str; 40] = [
    "Achterduin",
    "van der Belmolen",
    "Cromvliet",
    "Dwarskade",
    "Eikenwouw",
    "Fluitekamp",
    "Geestmeer",
    "Hooglaer",
    "ten IJzerveld",
    "Jachtwende",
    "Kerkslag",
    "Lindegouw",
    "Meerduiven",
    "de Noordwissel",
    "Oostenrade",
    "Pronkhaven",
    "Quakelstein",
    "Rietschoon",
    "Stuifbergen",
    "Turfwijck",
    "Uilenspoor",
    "Veldzicht-Maas",
    "Waterlander",
    "Zandhoeve",
    "Ashgrovely",
    "Brackenhurst",
    "Coldwellow",
    "Dunmerrick",
    "Elmsworthy",
    "Farrowgate",
    "Gorsefield",
    "Hartlebyrne",
    "O'Mallorin",
    "D'Averney",
    "Kestrelford",
    "Larkspurre",
    "Mossingdale",
    "Netherwyke",
    "Österlund-Vale",
    "Pendlewick",
];

const DESKS: [&str; 24] = [
    "info",
    "sales",
    "invoices",
    "hr",
    "servicedesk",
    "reception",
    "planning",
    "privacy",
    "press",
    "logistics",
    "legal",
    "payroll",
    "facilities",
    "training",
    "orders",
    "returns",
    "quality",
    "research",
    "archive",
    "events",
    "procurement",
    "treasury",
    "recruitment",
    "complaints",
];

const PLACES: [&str; 12] = [
    "",
    "north",
    "south",
    "east",
    "west",
    "harbour",
    "campus",
    "airport",
    "centre",
    "hillside",
    "riverside",
    "workshop",
];

pub(super) const TEAMS: [&str; 12] = [
    "Finance",
    "Care",
    "Legal",
    "Sales",
    "Support",
    "People",
    "Planning",
    "Research",
    "Quality",
    "Logistics",
    "Works",
    "Press",
];

#[derive(Clone)]
pub(super) struct Name {
    pub(super) first: &'static str,
    pub(super) last: &'static str,
}

impl Name {
    pub(super) fn any(dice: &mut Dice) -> Self {
        Self {
            first: *dice.pick(&FIRST[..]),
            last: *dice.pick(&LAST[..]),
        }
    }

    /// The same person with a new surname.
    pub(super) fn remarried(&self, dice: &mut Dice) -> Self {
        Self {
            first: self.first,
            last: *dice.pick(&LAST[..]),
        }
    }

    pub(super) fn display(&self) -> String {
        format!("{} {}", self.first, self.last)
    }

    /// `first.last`, including an apostrophe.
    pub(super) fn local(&self) -> String {
        format!("{}.{}", plain(self.first), plain(self.last))
    }

    pub(super) fn short(&self) -> String {
        format!("{}.{}", &plain(self.first)[..1], plain(self.last))
    }
}

/// In lower case, without accents and spaces.
fn plain(name: &str) -> String {
    let letters = name.to_lowercase();
    let letters = letters
        .chars()
        .filter(|letter| *letter != ' ')
        .map(|letter| match letter {
            'ë' | 'é' => 'e',
            'ü' => 'u',
            'ø' | 'ö' => 'o',
            other => other,
        });
    letters.collect()
}

/// Local part and display name of the shared mailbox with this number.
pub(super) fn desk(number: usize) -> (String, String) {
    let desk = DESKS[number % DESKS.len()];
    let place = PLACES[number / DESKS.len() % PLACES.len()];
    let round = number / (DESKS.len() * PLACES.len());
    let mut parts = vec![desk.to_owned()];
    if !place.is_empty() {
        parts.push(place.to_owned());
    }
    if round > 0 {
        parts.push((round + 1).to_string());
    }
    let title = |part: &String| part[..1].to_uppercase() + &part[1..];
    let display = parts.iter().map(title).collect::<Vec<_>>().join(" ");
    (parts.join("-"), display)
}

/// Generates unique addresses.
#[derive(Default)]
pub(super) struct Addresses {
    used: HashSet<String>,
}

impl Addresses {
    /// `local@domain`, with a number if the address is in use.
    pub(super) fn take(&mut self, local: &str, domain: &str) -> String {
        let mut number = 1;
        loop {
            let suffix = if number == 1 {
                String::new()
            } else {
                number.to_string()
            };
            let address = format!("{local}{suffix}@{domain}");
            if self.used.insert(address.clone()) {
                return address;
            }
            number += 1;
        }
    }
}
