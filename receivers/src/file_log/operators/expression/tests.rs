//! What expressions choose, and what is said about those that cannot be understood.

use super::super::value::{Map, from_json};
use super::*;

fn holds(condition: &str) -> Result<bool, String> {
    let Ok(Value::Map(attributes)) = from_json(r#"{"level":"error","n":5,"f":1.5,"k.8":{"x":true},"l":["a"]}"#, true)
    else {
        panic!("no map")
    };
    let mut entry = Entry::new(Value::text("{\"a\": 1}"), attributes, Map::default(), 0);
    entry.severity_text = "WARN".into();
    Expression::new(condition).map_err(|e| e.to_string())?.holds(&entry).map_err(|e| e.to_string())
}

#[test]
fn conditions_choose_entries() {
    for (condition, want) in [
        (r#"body matches "^{.*}$""#, true),
        (r"$ matches '^\\{'", true),
        ("body matches `^\\d`", false),
        (r#"body not matches "x""#, true),
        (r#"attributes.level == "error""#, true),
        (r#"attributes["level"] != 'error'"#, false),
        (r#"attributes.level in ["warn", "error"]"#, true),
        (r#"attributes.level not in []"#, true),
        (r#""level" in attributes and not ("x" in attributes)"#, true),
        ("attributes.n == 5 && attributes.n >= 5.0 && attributes.f < 2 && attributes.n > -1", true),
        (r#"attributes["k.8"].x"#, true),
        ("attributes?.nothing?.at == nil", true),
        ("resource.x != nil", false),
        (r#"type(body) == "string" or type(attributes.n) == "map""#, true),
        (r#"severity_text startsWith "WA" and body endsWith "}" and body contains "a""#, true),
        ("false || true && false", false),
        ("!(true) or (1_000 <= 1e3)", true),
        (r#""a" < "b""#, true),
        ("attributes.n in attributes.l", false),
        (r#"len(body) == 8 and upper("é" + trim(" a ")) == "ÉA""#, true),
        ("attributes.n + 1 == 6 and attributes.n + 0.5 > 5", true),
        (r#"(attributes.nothing ?? "none") == "none""#, true),
        ("attributes.n > 9 ? false : severity == 0", true),
        ("severity_number == 0 and timestamp.IsZero() and timestamp.Unix() == 0", true),
        ("attributes.n - 1 == 4 and attributes.n -1 == 4 and -attributes.n == 0 - 5", true),
        ("attributes.n * 2 + 1 == 11 and attributes.n / 2 == 2.5 and attributes.n % 3 == 2", true),
        (r#"int("404") / 100 >= 4 and float("1.5") == attributes.f and string(attributes.n) + "x" == "5x""#, true),
        (r#"hasPrefix(body, "{") and not hasSuffix(body, "{")"#, true),
        (r#"attributes.l[0] == "a" and attributes.l[-1] == "a""#, true),
        ("attributes.n in [-5, 5]", true),
        (r#"env("SLIPRING_NO_SUCH_VARIABLE") == "" and lower("A") == "a""#, true),
    ] {
        assert_eq!(holds(condition), Ok(want), "{condition}");
    }
}

#[test]
fn values_that_do_not_fit_are_errors_of_the_entry() {
    for (condition, want) in [
        ("body", "neither true nor false"),
        ("attributes.nothing matches 'x'", "`matches` is for texts, not for null"),
        ("body < 1", "text and a number have no order"),
        ("1 in body", "not into text"),
        ("body - 'x' == 'y'", "text and text are not two numbers"),
        ("int(body) == 1", "is no number"),
        ("attributes.l[1] == 1", "there is no element 1"),
        ("body[0] == 'x'", "text has no elements"),
        ("attributes.n % 0 == 1", "division by 0"),
    ] {
        let error = holds(condition).unwrap_err();
        assert!(error.contains(want), "{condition}: {error}");
    }
}

#[test]
fn what_is_not_understood_is_an_error_that_says_what_is() {
    for (condition, want) in [
        ("", "it ends too soon at character 1"),
        ("now() > 3", "`now` is not understood at character 1"),
        ("env(x)", "in quotes"),
        ("body ==", "it ends too soon at character 8"),
        ("body matches attributes.x", "`matches` needs a text"),
        ("body matches '('", "is not a regular expression"),
        ("body == 'x", "a text has no end at character 9"),
        ("(body == 'x'", "a `)` should stand here"),
        ("body == 'x' 'y'", "the text \"y\" was not expected at character 13"),
        ("body not == 'x'", "`not` needs"),
        ("body | 'x'", "`|` is not understood"),
        ("timestamp > 1", "`timestamp` needs .Unix()"),
        ("body[x] == 1", "a text or a number should stand in the brackets"),
        ("body[1.5] == 1", "a text or a number should stand in the brackets"),
        ("body ? 1", "a `:` should stand here"),
        ("body. == 'x'", "a name should stand behind the dot"),
        ("1.2.3 == 1", "is no number"),
    ] {
        let error = holds(condition).unwrap_err();
        assert!(error.contains(want) && error.contains("understood are"), "{condition}: {error}");
    }
    assert!(holds(&"(".repeat(10_000)).unwrap_err().contains("nested too deep"));
}
