"""One module for each format of rows that come in (`_body`) and of answers that go out (`_answer`)."""
