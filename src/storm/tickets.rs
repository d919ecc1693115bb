//! Customers' words: what people write when the shop is broken, in several voices and languages.
//! A ticket's identity is who wrote about what; its words differ every time. All texts are invented.

use crate::storm::rng::Rng;

/// One complaint, in the words that customers have for it.
#[derive(Debug)]
pub(crate) struct Topic {
    /// The value of the label `topic`.
    pub(crate) slug: &'static str,
    /// The service that the help desk files it under.
    service: &'static str,
    english: [&'static str; 3],
    german: &'static str,
    spanish: &'static str,
}

/// The ways in which tickets come in: the label `channel`.
pub(crate) const CHANNELS: [&str; 5] = ["email", "chat", "phone", "web-form", "social"];

/// All topics; those of one service stand side by side.
pub(crate) const TOPICS: [Topic; 16] = [
    Topic {
        slug: "cannot-order",
        service: "checkout",
        english: [
            "the order button does nothing",
            "the last step of the order just spins",
            "I get \"something went wrong\" when I order",
        ],
        german: "die Bestellung lässt sich nicht abschließen",
        spanish: "no puedo terminar mi pedido",
    },
    Topic {
        slug: "cart-empty",
        service: "checkout",
        english: [
            "my cart is empty again every time I go to pay",
            "everything in my cart is gone",
            "the cart forgets what I put in",
        ],
        german: "mein Warenkorb ist plötzlich leer",
        spanish: "mi carrito aparece vacío",
    },
    Topic {
        slug: "card-declined",
        service: "payments",
        english: [
            "my card is declined though the bank says it is fine",
            "no card works, I tried three",
            "payment fails with code 4012",
        ],
        german: "meine Karte wird abgelehnt, obwohl sie gedeckt ist",
        spanish: "rechazan mi tarjeta y el banco dice que todo está bien",
    },
    Topic {
        slug: "charged-twice",
        service: "payments",
        english: [
            "I was charged twice for one order",
            "the money left my account two times",
            "there are two bookings for the same purchase",
        ],
        german: "der Betrag wurde zweimal abgebucht",
        spanish: "me cobraron dos veces",
    },
    Topic {
        slug: "cannot-log-in",
        service: "login",
        english: [
            "I cannot log in, it says my session has ended",
            "the login page sends me back to the login page",
            "my password is right but it says it is not",
        ],
        german: "ich komme nicht mehr in mein Konto",
        spanish: "no puedo entrar en mi cuenta",
    },
    Topic {
        slug: "no-code",
        service: "login",
        english: [
            "the code for the second step never comes",
            "I have been waiting for the login code",
            "the code arrives after it has run out",
        ],
        german: "der Code zur Anmeldung kommt nicht an",
        spanish: "el código de acceso no llega",
    },
    Topic {
        slug: "search-empty",
        service: "search",
        english: [
            "the search finds nothing at all",
            "zero results, even for things I bought last week",
            "searching gives a blank page",
        ],
        german: "die Suche findet nichts",
        spanish: "la búsqueda no encuentra nada",
    },
    Topic {
        slug: "search-slow",
        service: "search",
        english: [
            "the search takes half a minute",
            "typing in the search box freezes the page",
            "filters take forever",
        ],
        german: "die Suche ist unerträglich langsam",
        spanish: "la búsqueda va lentísima",
    },
    Topic {
        slug: "order-missing",
        service: "orders",
        english: [
            "my order has vanished from the list",
            "I paid but there is no order",
            "the order number from your mail is unknown to your own site",
        ],
        german: "meine Bestellung ist verschwunden",
        spanish: "mi pedido ha desaparecido",
    },
    Topic {
        slug: "status-stuck",
        service: "orders",
        english: [
            "the order has been \"in preparation\" for days",
            "tracking shows the same since Monday",
            "the delivery date keeps moving",
        ],
        german: "der Status ändert sich seit Tagen nicht",
        spanish: "el estado del pedido no cambia",
    },
    Topic {
        slug: "no-mail",
        service: "mailer",
        english: [
            "no confirmation mail has come",
            "the link to reset my password never arrives",
            "your mails come hours late",
        ],
        german: "es kommt keine Bestätigung per Mail",
        spanish: "no llega el correo de confirmación",
    },
    Topic {
        slug: "mail-twice",
        service: "mailer",
        english: [
            "I get the same mail over and over",
            "twelve copies of one invoice mail so far",
            "please stop sending me the same message",
        ],
        german: "ich bekomme dieselbe Mail immer wieder",
        spanish: "recibo el mismo correo una y otra vez",
    },
    Topic {
        slug: "app-offline",
        service: "mobile-gateway",
        english: [
            "the app says it is offline but everything else works",
            "the app shows only a grey screen",
            "the app asks me to update and then does the same again",
        ],
        german: "die App meldet ständig keine Verbindung",
        spanish: "la aplicación dice que no hay conexión",
    },
    Topic {
        slug: "app-crash",
        service: "mobile-gateway",
        english: [
            "the app closes as soon as I open it",
            "it crashes when I scan a code",
            "the app dies on the start page",
        ],
        german: "die App stürzt beim Start ab",
        spanish: "la aplicación se cierra sola",
    },
    Topic {
        slug: "account-wrong",
        service: "account-center",
        english: [
            "my account shows somebody else's address",
            "the orders in my account are not mine",
            "my name is wrong on everything",
        ],
        german: "in meinem Konto stehen fremde Daten",
        spanish: "en mi cuenta salen datos de otra persona",
    },
    Topic {
        slug: "no-invoice",
        service: "account-center",
        english: [
            "I cannot download my invoices",
            "the invoice opens as an empty page",
            "the invoice button gives an error",
        ],
        german: "die Rechnungen lassen sich nicht laden",
        spanish: "no puedo descargar las facturas",
    },
];

const SINCE: [&str; 6] =
    ["since this morning", "for about twenty minutes", "since the update", "for an hour now", "since 9:40", "all day"];
const SEIT: [&str; 3] = ["seit heute früh", "seit einer Stunde", "seit dem letzten Update"];
const DESDE: [&str; 3] = ["desde esta mañana", "desde hace una hora", "desde ayer por la noche"];
const NAMES: [&str; 8] = ["M. Okafor", "Lena", "R. Castellanos", "Priya", "T. Nakata", "Joost", "A. Brandt", "Sofia"];

/// The topics that customers have about the service of this name.
pub(crate) fn topics_about(service: &str) -> &'static [Topic] {
    let from = TOPICS.iter().position(|topic| topic.service == service).unwrap_or(TOPICS.len());
    let until = TOPICS.iter().rposition(|topic| topic.service == service).map_or(from, |last| last + 1);
    &TOPICS[from..until]
}

/// The ticket's subject: short, in the customer's own words.
pub(crate) fn subject(topic: &Topic, rng: &mut Rng) -> &'static str {
    match rng.below(8) {
        0 => topic.german,
        1 => topic.spanish,
        _ => topic.english[rng.index(topic.english.len())],
    }
}

/// Writes the ticket's text into `out`, which it clears first.
pub(crate) fn write_text(topic: &Topic, rng: &mut Rng, out: &mut String) {
    let what = *rng.pick(&topic.english);
    let since = *rng.pick(&SINCE);
    let name = *rng.pick(&NAMES);
    let number = 10_000 + rng.below(90_000);
    out.clear();
    let parts: [&str; 6] = match rng.below(8) {
        0 => [
            "Dear support team,\n\n",
            what,
            " ",
            since,
            ". Could you please look into it and let me know?\n\nKind regards\n",
            name,
        ],
        1 => ["This is the THIRD time I write. ", what, " ", since, "!!! I want my money back or I am gone.", ""],
        2 => [what, " ", since, "", "", ""],
        3 => [
            "hi, sorry to bother you, ",
            what,
            " and I need it for a birthday tomorrow... is it just me? thx, ",
            name,
            "",
            "",
        ],
        4 => [
            "Steps: open the site, sign in, try again.\nExpected: it works.\nSeen: ",
            what,
            ".\nBrowser: current, cache cleared. Happens ",
            since,
            ".",
            "",
        ],
        5 => [
            "ok so my colleague said to write you bc ",
            what,
            " ",
            since,
            " and the chat thing said \"wait\", so I wait lol",
            "",
        ],
        6 => ["Guten Tag, ", topic.german, ", und zwar ", *rng.pick(&SEIT), ". Bitte um Rückmeldung.\nGruß, ", name],
        _ => ["Hola, ", topic.spanish, " ", *rng.pick(&DESDE), ". ¿Pueden ayudarme? Gracias, ", name],
    };
    for part in parts {
        out.push_str(part);
    }
    if rng.chance(250_000) {
        out.push_str(" (order ");
        out.push_str(itoa(number, &mut [0; 20]));
        out.push(')');
    }
}

/// Decimal digits without an allocation.
fn itoa(mut number: u64, buffer: &mut [u8; 20]) -> &str {
    let mut at = buffer.len();
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return str::from_utf8(&buffer[at..]).expect("digits are ASCII");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storm::catalogue::{CUSTOMER_FACING, SERVICES};
    use std::collections::BTreeSet;

    #[test]
    fn customers_have_words_for_every_service_they_meet() {
        for service in &SERVICES[..CUSTOMER_FACING] {
            let topics = topics_about(service.name);
            assert_eq!(topics.len(), 2, "{}", service.name);
            assert!(topics.iter().all(|topic| topic.service == service.name));
        }
        assert!(topics_about("ledger").is_empty());
    }

    #[test]
    fn one_topic_is_told_in_many_ways() {
        let mut rng = Rng::new(5, 0);
        let mut text = String::new();
        let told: BTreeSet<String> = (0..500)
            .map(|_| {
                write_text(&TOPICS[2], &mut rng, &mut text);
                text.clone()
            })
            .collect();
        assert!(told.len() > 100, "{}", told.len());
        assert!(told.iter().any(|text| text.contains("Guten Tag")));
        assert!(told.iter().any(|text| text.contains("Hola")));
        assert!(told.iter().any(|text| text.contains("THIRD")));
    }
}
