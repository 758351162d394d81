//! An error with everything behind it, in one line: for logs and messages to people.

use std::error::Error;

/// The error's text, then that of each cause after a colon. A cause that its effect already names is not repeated.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn each_cause_is_said_once() {
        let inner = Layer("connection refused", None);
        let middle = Layer("tcp connect: connection refused", Some(Box::new(inner)));
        let outer = Layer("cannot reach the master", Some(Box::new(middle)));
        assert_eq!(
            causes(&outer),
            "cannot reach the master: tcp connect: connection refused"
        );
    }
}
