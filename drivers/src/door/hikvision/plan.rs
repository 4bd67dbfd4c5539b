//! Schedules: a template names a week plan and a group of holidays. Each is a document of its own number
//! that is put whole and read back whole.
//!
//! ```text
//! PUT, GET /ISAPI/AccessControl/UserRightWeekPlanCfg/{n}?format=json
//! PUT, GET /ISAPI/AccessControl/UserRightHolidayPlanCfg/{n}?format=json
//! PUT, GET /ISAPI/AccessControl/UserRightHolidayGroupCfg/{n}?format=json
//! PUT, GET /ISAPI/AccessControl/UserRightPlanTemplate/{n}?format=json
//! ```

use super::{get, post};
use crate::barrier::Request;
use crate::door::CivilDate;
use serde_json::{Value, json};

/// Windows of one day that a device keeps; what is more is not told: it gives less, never more.
pub const WINDOWS: usize = 8;
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A stretch of a day: the first minute and the one after the last, to 1440.
pub type Window = (u16, u16);

/// A document of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which, below `/ISAPI/AccessControl/`.
    pub name: String,
    /// What it is to say.
    pub body: Value,
}

impl Document {
    /// Puts it.
    #[must_use]
    pub fn put(&self) -> Request {
        post("PUT", &self.name, &self.body)
    }

    /// Asks for it.
    #[must_use]
    pub fn ask(&self) -> Request {
        get(&format!("/ISAPI/AccessControl/{}?format=json", self.name))
    }

    /// Whether an answer says what it is to say; a device may say more.
    #[must_use]
    pub fn is_said(&self, status: u16, body: &[u8]) -> bool {
        status == 200 && super::json_of(body).is_ok_and(|told| says(&told, &self.body))
    }
}

fn says(told: &Value, wanted: &Value) -> bool {
    match (told, wanted) {
        (Value::Object(told), Value::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
            // What is off may show any time.
            let off = key == "TimeSegment" && told.get("enable") == Some(&Value::Bool(false));
            off || told.get(key).is_some_and(|told| says(told, wanted))
        }),
        (Value::Array(told), Value::Array(wanted)) => {
            wanted.iter().all(|wanted| told.iter().any(|told| says(told, wanted)))
        }
        (told, wanted) => told == wanted,
    }
}

fn segments(windows: &[Window]) -> impl Iterator<Item = (usize, bool, Value)> + '_ {
    let clock = |minute: u16| format!("{:02}:{:02}:00", minute / 60, minute % 60);
    (0..WINDOWS).map(move |place| {
        let window = windows.get(place);
        let (from, until) = window.copied().unwrap_or((0, 0));
        let segment = json!({ "beginTime": clock(from), "endTime": clock(until) });
        (place.saturating_add(1), window.is_some(), segment)
    })
}

/// A week plan; Monday first.
#[must_use]
pub fn week(number: u16, days: &[Vec<Window>; 7]) -> Document {
    let all = DAYS.iter().zip(days).flat_map(|(day, windows)| {
        segments(windows).map(move |(id, enable, segment)| {
            json!({ "week": day, "id": id, "enable": enable, "TimeSegment": segment })
        })
    });
    Document {
        name: format!("UserRightWeekPlanCfg/{number}"),
        body: json!({ "UserRightWeekPlanCfg": {
            "enable": true, "WeekPlanCfg": all.collect::<Vec<Value>>(),
        } }),
    }
}

/// Days on which other windows hold than in the week.
#[must_use]
pub fn holiday(number: u16, from: CivilDate, to: CivilDate, windows: &[Window]) -> Document {
    let all = segments(windows)
        .map(|(id, enable, segment)| json!({ "id": id, "enable": enable, "TimeSegment": segment }));
    Document {
        name: format!("UserRightHolidayPlanCfg/{number}"),
        body: json!({ "UserRightHolidayPlanCfg": {
            "enable": true, "beginDate": from.to_string(), "endDate": to.to_string(),
            "HolidayPlanCfg": all.collect::<Vec<Value>>(),
        } }),
    }
}

/// Holidays that belong together.
#[must_use]
pub fn group(number: u16, holidays: &[u16]) -> Document {
    let numbers: Vec<String> = holidays.iter().map(u16::to_string).collect();
    Document {
        name: format!("UserRightHolidayGroupCfg/{number}"),
        body: json!({ "UserRightHolidayGroupCfg": {
            "enable": !holidays.is_empty(),
            "groupName": format!("blockgate-{number}"),
            "holidayPlanNo": numbers.join(","),
        } }),
    }
}

/// What a right refers to. The template 1 is the device's own: always.
#[must_use]
pub fn template(number: u16, week: u16, group: Option<u16>) -> Document {
    let group = group.map(|group| group.to_string()).unwrap_or_default();
    Document {
        name: format!("UserRightPlanTemplate/{number}"),
        body: json!({ "UserRightPlanTemplate": {
            "enable": true,
            "templateName": format!("blockgate-{number}"),
            "weekPlanNo": week,
            "holidayGroupNo": group,
        } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_told_day_by_day_and_an_answer_that_says_more_or_less_is_told_apart() {
        let mut days: [Vec<Window>; 7] = std::array::from_fn(|_| vec![(480, 720), (780, 1_440)]);
        days[6].clear();
        let document = week(2, &days);
        let request = document.put();
        assert_eq!(request.path, "/ISAPI/AccessControl/UserRightWeekPlanCfg/2?format=json");
        let rows = document.body["UserRightWeekPlanCfg"]["WeekPlanCfg"].as_array().unwrap();
        assert_eq!(rows.len(), 7 * WINDOWS);
        assert_eq!(rows[1]["TimeSegment"], json!({"beginTime": "13:00:00", "endTime": "24:00:00"}));
        assert_eq!((&rows[48]["week"], &rows[48]["enable"]), (&json!("Sunday"), &json!(false)));

        let mut told = document.body.clone();
        told["UserRightWeekPlanCfg"]["extra"] = json!(7);
        told["UserRightWeekPlanCfg"]["WeekPlanCfg"][48]["TimeSegment"]["endTime"] =
            json!("23:59:59");
        let bytes = |value: &Value| value.to_string().into_bytes();
        assert!(document.is_said(200, &bytes(&told)), "what is off may show any time");
        assert!(!document.is_said(404, &bytes(&told)) && !document.is_said(200, b"{}"));
        told["UserRightWeekPlanCfg"]["WeekPlanCfg"][0]["TimeSegment"]["endTime"] =
            json!("13:00:00");
        assert!(!document.is_said(200, &bytes(&told)));
        let day = CivilDate { year: 2026, month: 10, day: 1 };
        let holiday = holiday(5, day, CivilDate { day: 8, ..day }, &[]);
        assert_eq!(holiday.body["UserRightHolidayPlanCfg"]["endDate"], "2026-10-08");
        assert_eq!(group(2, &[5, 6]).body["UserRightHolidayGroupCfg"]["holidayPlanNo"], "5,6");
        assert_eq!(template(2, 2, Some(2)).body["UserRightPlanTemplate"]["weekPlanNo"], 2);
    }
}
