//! The commissioning sheet as a file.

use super::*;

#[tokio::test]
async fn the_sheet_comes_as_a_table_in_the_readers_language_and_no_cell_of_it_is_a_formula() {
    let house = house(true).await;
    let evil = crate::board::MeterBoard {
        line: Some(LineId::new("line-1").unwrap()),
        profile: "=cmd|' /C calc'!A0".to_owned(),
        ..Default::default()
    };
    house.shared.board.meters().insert(MeterId::new("m-0102").unwrap(), evil);
    let get = async |path: &str, language: &str| {
        let request = house.person("GET", path).header("accept-language", language);
        let reply = request.reply(&house.routes).await;
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.headers()["content-type"], "text/csv; charset=utf-8");
        let name = "attachment; filename=\"blockgate-sheet.csv\"";
        assert_eq!(reply.headers()["content-disposition"], name);
        String::from_utf8(reply.body().to_vec()).unwrap()
    };
    let zh = get("/sheet.csv", "zh-CN").await;
    assert!(zh.starts_with("\u{feff}表计,户号,线路,地址,设备型号,"), "{zh}");
    let en = get("/sheet.csv?line=line-1", "en").await;
    assert!(en.starts_with("\u{feff}Meter,"), "{en}");
    assert_eq!(en.lines().count(), 3, "{en}");
    let row = en.lines().nth(2).unwrap();
    assert!(row.starts_with("m-0102,") && row.contains(",'=cmd|"), "{row}");
    assert_eq!(get("/sheet.csv?line=line-9", "en").await.lines().count(), 1);
    let screen = house.person("GET", "/sheet?line=line-1").reply(&house.routes).await;
    let html = String::from_utf8_lossy(screen.body()).into_owned();
    assert!(html.contains("href=\"/sheet.csv?line=line-1\""), "{html}");
}
