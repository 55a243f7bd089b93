//! The HTML of productpage. Every value from outside is escaped.

use std::fmt::Write;

use serde_json::Value;

pub(super) const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:48rem;padding:0 1rem;color:#222}\
h1{margin-bottom:.2rem}.bar{float:right}dl{display:grid;grid-template-columns:8rem 1fr}dt{color:#666}dd{margin:0}\
blockquote{border-left:3px solid #ccc;margin:1rem 0;padding-left:1rem}.error{color:#a00}.served{color:#666;font-size:.85rem}";

const STARS: i64 = 5;

/// The entry page.
pub(super) fn index() -> String {
    frame(
        "Bookinfo",
        "<h1>Bookinfo</h1><p>A small bookshop in four services.</p>\
         <p><a href=\"/productpage\">The product page</a> · <a href=\"/productpage?u=test\">as a test user</a></p>",
    )
}

/// The product page; a part that failed shows why.
pub(super) fn product(
    title: &str,
    user: Option<&str>,
    details: Result<&Value, &str>,
    reviews: Result<&Value, &str>,
) -> String {
    let mut body = String::with_capacity(2048);
    body.push_str(&login_bar(user));
    push(&mut body, format_args!("<h1>{}</h1>", escape(title)));
    body.push_str("<h2>Book Details</h2>");
    match details {
        Ok(details) => push_details(&mut body, details),
        Err(message) => push_error(&mut body, "Error fetching product details!", message),
    }
    body.push_str("<h2>Book Reviews</h2>");
    match reviews {
        Ok(reviews) => push_reviews(&mut body, reviews),
        Err(message) => push_error(&mut body, "Error fetching product reviews!", message),
    }
    frame("Simple Bookstore App", &body)
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\
         <link rel=\"stylesheet\" href=\"/static/style.css\"></head><body>{body}</body></html>\n",
        escape(title)
    )
}

fn login_bar(user: Option<&str>) -> String {
    match user {
        Some(user) => format!("<p class=\"bar\">{} · <a href=\"/logout\">sign out</a></p>", escape(user)),
        None => "<form class=\"bar\" method=\"post\" action=\"/login\"><input name=\"username\" placeholder=\"user, e.g. jason\" \
                 required> <button>Sign in</button></form>"
            .to_owned(),
    }
}

fn push_details(body: &mut String, details: &Value) {
    const SHOWN: [(&str, &str); 7] = [
        ("Type", "type"),
        ("Pages", "pages"),
        ("Publisher", "publisher"),
        ("Language", "language"),
        ("Author", "author"),
        ("ISBN-10", "ISBN-10"),
        ("ISBN-13", "ISBN-13"),
    ];
    body.push_str("<dl>");
    for (label, field) in SHOWN {
        if let Some(value) = details.get(field) {
            push(body, format_args!("<dt>{label}</dt><dd>{}</dd>", escape(&plain(value))));
        }
    }
    body.push_str("</dl>");
}

fn push_reviews(body: &mut String, reviews: &Value) {
    for review in reviews.get("reviews").and_then(Value::as_array).into_iter().flatten() {
        let text = review.get("text").map(plain).unwrap_or_default();
        let reviewer = review.get("reviewer").map(plain).unwrap_or_default();
        push(body, format_args!("<blockquote><p>{}</p><small>{}</small>", escape(&text), escape(&reviewer)));
        if let Some(rating) = review.get("rating") {
            push_rating(body, rating);
        }
        body.push_str("</blockquote>");
    }
    let served_by = reviews.get("podname").map(plain).unwrap_or_default();
    push(body, format_args!("<p class=\"served\">Reviews served by: {}</p>", escape(&served_by)));
}

fn push_rating(body: &mut String, rating: &Value) {
    match rating.get("stars").and_then(Value::as_i64) {
        Some(stars) => {
            // Only colours this page knows reach its markup.
            let color = match rating.get("color").and_then(Value::as_str) {
                Some("red") => "red",
                _ => "black",
            };
            push(body, format_args!("<p style=\"color:{color}\" data-stars=\"{stars}\">"));
            for position in 0..STARS {
                body.push(if position < stars { '★' } else { '☆' });
            }
            body.push_str("</p>");
        }
        None => push_error(body, "Ratings service is currently unavailable", ""),
    }
}

fn push_error(body: &mut String, what: &str, message: &str) {
    push(body, format_args!("<p class=\"error\">{what} {}</p>", escape(message)));
}

fn push(body: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ok = body.write_fmt(text);
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(in crate::runtime::samples) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
