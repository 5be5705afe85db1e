//! The text of a snapshot: one line for each account.

use std::{fmt::Write as _, sync::Arc};

use crate::{
    account::{Account, Saved},
    store::Scope,
    window::{Form, PARTS, Unit},
};

/// The first line, with the version of the format.
const HEAD: &str = "budget-layer accounts 1";
/// The last line begins so, and has the number of lines between.
const TAIL: &str = "end ";

pub(crate) struct Writer {
    text: String,
    lines: usize,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            text: format!("{HEAD}\n"),
            lines: 0,
        }
    }

    pub(crate) fn account(&mut self, scope: &Scope, account: &Account, now: u64) {
        let saved = account.saved(now);
        let text = &mut self.text;
        escape(text, scope.limit());
        text.push('\t');
        escape(text, scope.owner());
        let Saved {
            form,
            end,
            used,
            granted,
            granted_until,
            own_limit,
            ..
        } = saved;
        let own = own_limit.map_or(String::from("-"), |limit| limit.to_string());
        // writing to a string does not fail
        let _ = write!(text, "\t{granted}\t{granted_until}\t{own}");
        let _ = write!(text, "\t{}", form.as_str());
        let _ = match (saved.parts, form) {
            (Some(parts), Form::Rolling(length)) => {
                let _ = write!(text, "\t{length}\t");
                parts
                    .iter()
                    .try_for_each(|(part, amount)| write!(text, "{part}:{amount},"))
            }
            _ => write!(text, "\t{end}\t{used}"),
        };
        text.push('\n');
        self.lines += 1;
    }

    pub(crate) fn finish(mut self) -> String {
        let _ = writeln!(self.text, "{TAIL}{}", self.lines);
        self.text
    }
}

/// Every account of a snapshot. `None`: it is none, or not whole.
pub(crate) fn read(text: &str) -> Option<Vec<(Scope, Account)>> {
    let mut lines = text.strip_prefix(HEAD)?.strip_prefix('\n')?.lines();
    let tail = lines.next_back()?;
    let accounts: Vec<_> = lines.map(account).collect::<Option<_>>()?;
    let count: usize = tail.strip_prefix(TAIL)?.parse().ok()?;
    (count == accounts.len()).then_some(accounts)
}

fn account(line: &str) -> Option<(Scope, Account)> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let limit: Arc<str> = unescape(next()?)?.into();
    let owner: Arc<str> = unescape(next()?)?.into();
    let mut saved = Saved {
        form: Form::Total,
        end: 0,
        used: 0,
        parts: None,
        granted: next()?.parse().ok()?,
        granted_until: next()?.parse().ok()?,
        own_limit: match next()? {
            "-" => None,
            limit => Some(limit.parse().ok()?),
        },
    };
    match next()? {
        "rolling" => {
            let length: u64 = next()?.parse().ok()?;
            saved.form = Form::Rolling(length);
            let parts = next()?.split_terminator(',').map(|part| {
                let (part, amount) = part.split_once(':')?;
                Some((part.parse().ok()?, amount.parse().ok()?))
            });
            let parts: Vec<_> = parts.collect::<Option<_>>()?;
            // one more than a window has, and one for what was reserved
            let ordered = parts.is_sorted_by(|one: &(u64, u64), other| one.0 < other.0);
            if parts.len() > PARTS as usize + 2 || !ordered {
                return None;
            }
            saved.parts = Some(parts);
        }
        form => {
            let unit = Unit::ALL.into_iter().find(|unit| unit.as_str() == form);
            saved.form = match unit {
                Some(unit) => Form::Calendar(unit),
                None if form == Form::Total.as_str() => Form::Total,
                None => return None,
            };
            saved.end = next()?.parse().ok()?;
            saved.used = next()?.parse().ok()?;
        }
    }
    let whole = fields.next().is_none();
    whole.then(|| (Scope::new(limit, owner), Account::restored(saved)))
}

fn escape(text: &mut String, name: &str) {
    for character in name.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            other => text.push(other),
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        name.push(match character {
            '\\' => match characters.next()? {
                '\\' => '\\',
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            other => other,
        });
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use std::time::Duration;

    use crate::window::{Window, Zone};

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            list in prop::collection::vec(
                (any::<String>(), any::<String>(), 0u64..1 << 40, any::<bool>(), prop::option::of(0u64..99)),
                0..20,
            ),
        ) {
            let now = 1_795_435_200_000;
            let mut writer = Writer::new();
            let mut expected = Vec::new();
            for (limit, owner, used, rolling, own) in list {
                let window = if rolling {
                    Window::rolling(Duration::from_secs(3_600))
                } else {
                    Window::day(&Zone::UTC)
                };
                let mut account = Account::new(&window, now);
                account.settle(&window, 0, used, now);
                account.settle(&window, 0, 7, now + 100_000);
                account.set_limit(own);
                account.grant(&window, 3, now);
                let scope = Scope::new(limit.into(), owner.into());
                writer.account(&scope, &account, now);
                expected.push((scope, account));
            }
            let text = writer.finish();
            let back = read(&text).unwrap();
            prop_assert_eq!(back.len(), expected.len());
            for ((scope, account), expected) in back.into_iter().zip(expected) {
                prop_assert_eq!((scope, account), expected);
            }
            // a part of it is none
            for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
                prop_assert!(read(&text[..end]).is_none() || end + 1 == text.len());
            }
        }

        #[test]
        fn foreign_text_is_no_snapshot(text in any::<String>()) {
            prop_assert!(read(&text).is_none());
            let _ = read(&format!("{HEAD}\n{text}\n{TAIL}1\n"));
        }
    }
}
