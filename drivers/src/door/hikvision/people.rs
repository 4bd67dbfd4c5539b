//! People and cards: put, taken out, read back page by page.

use super::{BadAnswer, PAGE_MAX, json_of, post};
use crate::barrier::Request;
use crate::door::CivilDate;
use serde_json::{Value, json};

/// Somebody with a right, as the device keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its number there; never a name.
    pub employee: String,
    /// First day.
    pub from: CivilDate,
    /// Last day.
    pub to: CivilDate,
    /// Doors, from 1, each with the number of its plan; 1 is always.
    pub doors: Vec<(u8, u16)>,
    /// PIN to the card. The device compares it itself, so it is given as it is; not every device tells it
    /// again when it is read back.
    pub pin: Option<u32>,
}

/// Adds a user, or changes one that is there.
#[must_use]
pub fn put_user(user: &User, is_new: bool) -> Request {
    let rights: Vec<Value> = user
        .doors
        .iter()
        .map(|(door, plan)| json!({ "doorNo": door, "planTemplateNo": plan.to_string() }))
        .collect();
    let doors: Vec<String> = user.doors.iter().map(|(door, _)| door.to_string()).collect();
    let info = json!({
        "employeeNo": user.employee,
        "name": user.employee,
        "userType": "normal",
        "Valid": {
            "enable": true,
            "beginTime": format!("{}T00:00:00", user.from),
            "endTime": format!("{}T23:59:59", user.to),
            "timeType": "local",
        },
        "doorRight": doors.join(","),
        "RightPlan": rights,
        "password": user.pin.map(|pin| pin.to_string()).unwrap_or_default(),
    });
    let (method, verb) = if is_new { ("POST", "Record") } else { ("PUT", "Modify") };
    post(method, &format!("UserInfo/{verb}"), &json!({ "UserInfo": info }))
}

/// Takes a user out, with all cards.
#[must_use]
pub fn delete_user(employee: &str) -> Request {
    let list = json!([{ "employeeNo": employee }]);
    post("PUT", "UserInfo/Delete", &json!({ "UserInfoDelCond": { "EmployeeNoList": list } }))
}

/// Gives a user a card.
#[must_use]
pub fn put_card(employee: &str, card: u64) -> Request {
    let info =
        json!({ "employeeNo": employee, "cardNo": card.to_string(), "cardType": "normalCard" });
    post("POST", "CardInfo/Record", &json!({ "CardInfo": info }))
}

/// Takes a card out.
#[must_use]
pub fn delete_card(card: u64) -> Request {
    let list = json!([{ "cardNo": card.to_string() }]);
    post("PUT", "CardInfo/Delete", &json!({ "CardInfoDelCond": { "CardNoList": list } }))
}

/// Asks for people, from a position on.
#[must_use]
pub fn search_users(position: u32) -> Request {
    post("POST", "UserInfo/Search", &json!({ "UserInfoSearchCond": condition(position) }))
}

/// Asks for cards, from a position on.
#[must_use]
pub fn search_cards(position: u32) -> Request {
    post("POST", "CardInfo/Search", &json!({ "CardInfoSearchCond": condition(position) }))
}

fn condition(position: u32) -> Value {
    json!({
        "searchID": "blockgate",
        "searchResultPosition": position,
        "maxResults": PAGE_MAX,
    })
}

/// One page of what was searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<T> {
    /// What could be read of it.
    pub found: Vec<T>,
    /// Rows of the page, those that could not be read included.
    pub rows: u32,
    /// Whether there are more behind them.
    pub more: bool,
}

/// Reads a page of people. One whose rights cannot be read has none here: it differs from what is wanted.
///
/// # Errors
/// [`BadAnswer`].
pub fn users(status: u16, body: &[u8]) -> Result<Rows<User>, BadAnswer> {
    rows(status, body, "UserInfoSearch", "UserInfo", user)
}

/// Reads a page of cards: whose, and the number.
///
/// # Errors
/// [`BadAnswer`].
pub fn cards(status: u16, body: &[u8]) -> Result<Rows<(String, u64)>, BadAnswer> {
    rows(status, body, "CardInfoSearch", "CardInfo", |row| {
        let card = row.get("cardNo")?.as_str()?.parse().ok()?;
        Some((row.get("employeeNo")?.as_str()?.to_owned(), card))
    })
}

fn rows<T>(
    status: u16,
    body: &[u8],
    root: &'static str,
    list: &'static str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Rows<T>, BadAnswer> {
    if status == 401 {
        return Err(BadAnswer::Credentials);
    }
    let whole = json_of(body)?;
    let found = whole.get(root).ok_or(BadAnswer::Form(root))?;
    let word = found.get("responseStatusStrg").and_then(Value::as_str);
    let word = word.ok_or(BadAnswer::Form("responseStatusStrg"))?;
    let rows = found.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Ok(Rows {
        found: rows.iter().filter_map(read).collect(),
        rows: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        more: word.eq_ignore_ascii_case("MORE"),
    })
}

fn user(row: &Value) -> Option<User> {
    let employee = row.get("employeeNo")?.as_str()?.to_owned();
    let nobody = CivilDate::default();
    let valid = row.get("Valid").filter(|valid| valid.get("enable") != Some(&Value::Bool(false)));
    let day = |key: &str| {
        let text = valid.and_then(|valid| valid.get(key)).and_then(Value::as_str)?;
        date(text)
    };
    let plan = |door: u8| {
        let plans = row.get("RightPlan").and_then(Value::as_array).into_iter().flatten();
        let mut of_door = plans.filter(|plan| plan.get("doorNo") == Some(&json!(door)));
        let number = of_door.next().and_then(|plan| plan.get("planTemplateNo"))?;
        number.as_str().and_then(|text| text.parse().ok())
    };
    let rights = row.get("doorRight").and_then(Value::as_str).unwrap_or_default();
    let doors = rights.split(',').filter_map(|door| door.trim().parse().ok());
    Some(User {
        employee,
        from: day("beginTime").unwrap_or(nobody),
        to: day("endTime").unwrap_or(nobody),
        doors: doors.map(|door| (door, plan(door).unwrap_or(1))).collect(),
        pin: row.get("password").and_then(Value::as_str).and_then(|pin| pin.parse().ok()),
    })
}

/// The day of `2026-07-16T19:24:29`.
fn date(text: &str) -> Option<CivilDate> {
    let part = |from, until| text.get(from..until);
    Some(CivilDate {
        year: part(0, 4)?.parse().ok()?,
        month: part(5, 7)?.parse().ok()?,
        day: part(8, 10)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_cards_are_put_by_number_and_never_by_name() {
        let day = |year| CivilDate { year, month: 1, day: 31 };
        let user = User {
            employee: "p-0101".to_owned(),
            from: day(2026),
            to: day(2027),
            doors: vec![(1, 1), (2, 3)],
            pin: Some(7_531),
        };
        let request = put_user(&user, true);
        assert_eq!(
            (request.method, request.path.as_str()),
            ("POST", "/ISAPI/AccessControl/UserInfo/Record?format=json")
        );
        let body: Value = serde_json::from_str(&request.body).unwrap();
        assert_eq!(body["UserInfo"]["doorRight"], "1,2");
        assert_eq!(body["UserInfo"]["RightPlan"][1]["planTemplateNo"], "3");
        assert_eq!(body["UserInfo"]["Valid"]["endTime"], "2027-01-31T23:59:59");
        assert!(put_user(&user, false).path.contains("Modify"));
        assert!(put_card("p-0101", 10_058_400).body.contains("\"10058400\""));
        assert!(delete_card(10_058_400).path.contains("CardInfo/Delete"));
        assert!(delete_user("p-0101").body.contains("EmployeeNoList"));
        // What it was given it tells again.
        let answer = json!({"UserInfoSearch": {"searchID": "x", "responseStatusStrg": "MORE",
            "numOfMatches": 1, "totalMatches": 2, "UserInfo": [body["UserInfo"]]}});
        let page = users(200, answer.to_string().as_bytes()).unwrap();
        assert_eq!((page.found, page.rows, page.more), (vec![user], 1, true));
        let cards =
            cards(200, br#"{"CardInfoSearch": {"responseStatusStrg": "NO MATCH"}}"#).unwrap();
        assert_eq!((cards.rows, cards.more), (0, false));
        assert_eq!(users(401, b""), Err(BadAnswer::Credentials));
        assert!(users(200, b"{}").is_err());
    }
}
