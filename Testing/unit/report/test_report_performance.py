"""What a model states about its accuracy, as a table."""

from medai.report.performance import performance_table

SPREAD = {"n": 2, "mean": 0.90217, "sd": 0.0359, "median": 0.9, "minimum": 0.8019, "maximum": 0.9601}


def metrics(**more):
    row = {"cases": 2, "dice": SPREAD, "hd95_mm": SPREAD, "volume_error_percent": SPREAD}
    return {"labels": {"Front": row, "Back": {**row, **more}}, "mean_dice": 0.89, "cases": 2}


def test_one_row_a_label_and_the_rest_as_lines():
    table = performance_table(metrics())
    assert [row[0] for row in table["rows"]] == ["Front", "Back"]
    assert table["rows"][0][1:] == [
        "2",
        "0.902 (0.036), 0.802 to 0.960",
        "0.90 (0.04), 0.80 to 0.96",
        "0.9 (0.0), 0.8 to 1.0",
    ]
    assert len(table["head"]) == len(table["rows"][0])
    assert table["rest"] == [("mean_dice", "0.89"), ("cases", "2")]


def test_an_undefined_measure_is_said_to_be_so():
    table = performance_table(metrics(hd95_mm={"n": 0, "mean": None, "sd": None, "minimum": None, "maximum": None}))
    assert table["rows"][1][3] == "undefined"


def test_metrics_of_another_form_are_listed_whole():
    table = performance_table(metrics(dice="good"))
    assert table["rows"] == []
    assert ("labels.Back.dice", "good") in table["rest"]
    assert performance_table({}) == {"head": table["head"], "rows": [], "rest": []}
