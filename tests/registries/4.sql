BEGIN TRANSACTION;
CREATE TABLE aliases (
	model VARCHAR(64) NOT NULL, 
	alias VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	updated_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (model, alias), 
	FOREIGN KEY(model, version) REFERENCES versions (model, version)
);
INSERT INTO "aliases" VALUES('iris','live',2,'2026-11-21T07:50:37.496Z');
CREATE TABLE answered_uploads (
	"key" VARCHAR(400) NOT NULL, 
	fingerprint VARCHAR(80) NOT NULL, 
	answer JSON NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE checks (
	id INTEGER NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	report JSON NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE events (
	id INTEGER NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	actor VARCHAR(128) NOT NULL, 
	request_id VARCHAR(128) NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version INTEGER, 
	alias VARCHAR(64), 
	"before" JSON, 
	"after" JSON, reason TEXT, previous VARCHAR(80), hash VARCHAR(80) DEFAULT '' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "events" VALUES(1,'2026-11-21T07:50:37.485Z','ann','request-1','create-model','iris',NULL,NULL,NULL,NULL,NULL,NULL,'sha256:f0a3192107b6e1eb3dff8b34574a6228a41da97330d9178890a6b0821298a803');
INSERT INTO "events" VALUES(2,'2026-11-21T07:50:37.488Z','ann','request-1','upload','iris',1,NULL,NULL,'{"digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}',NULL,'sha256:f0a3192107b6e1eb3dff8b34574a6228a41da97330d9178890a6b0821298a803','sha256:06b8825bedca76ec46b0007bf962a7b14a9ca1415d583dd2ee2ecafb16c91114');
INSERT INTO "events" VALUES(3,'2026-11-21T07:50:37.489Z','ann','request-1','move-alias','iris',1,'live','{"version": null}','{"version": 1}',NULL,'sha256:06b8825bedca76ec46b0007bf962a7b14a9ca1415d583dd2ee2ecafb16c91114','sha256:405f338a7aa9b9e57e8cd5878c992a89d331a2d4372cd481ef2f189b7a477636');
INSERT INTO "events" VALUES(4,'2026-11-21T07:50:37.493Z','ann','request-1','upload','iris',2,NULL,NULL,'{"digest": "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}',NULL,'sha256:405f338a7aa9b9e57e8cd5878c992a89d331a2d4372cd481ef2f189b7a477636','sha256:12ddc89f05133f0ff2a10dfb76f9f04711295523a529ecf49c8d9dc492cd8dc4');
INSERT INTO "events" VALUES(5,'2026-11-21T07:50:37.497Z','ann','request-1','move-alias','iris',2,'live','{"version": 1}','{"version": 2}',NULL,'sha256:12ddc89f05133f0ff2a10dfb76f9f04711295523a529ecf49c8d9dc492cd8dc4','sha256:079db6eff531d938974fd6d3893969bf38027847caf2480f89439d4138661e08');
INSERT INTO "events" VALUES(6,'2026-11-21T07:50:37.500Z','ann','request-1','update-version','iris',1,NULL,'{"state": "ready", "description": null, "tags": {}, "class_names": null, "column_names": ["x0"]}','{"state": "ready", "description": "the first", "tags": {}, "class_names": null, "column_names": ["x0"]}',NULL,'sha256:079db6eff531d938974fd6d3893969bf38027847caf2480f89439d4138661e08','sha256:368bfdea72afeafac8e1302530e93224015c1a08a235b906282dbec50d73686a');
INSERT INTO "events" VALUES(7,'2026-11-21T07:50:37.502Z','ann','request-1','create-model','other',NULL,NULL,NULL,NULL,NULL,NULL,'sha256:fabcacb84b9065bee6635330047e4697524b800baa0c67a886394f4f1de95fdd');
INSERT INTO "events" VALUES(8,'2026-11-21T07:50:37.503Z','ann','request-1','upload','other',7,NULL,NULL,'{"digest": "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}',NULL,'sha256:fabcacb84b9065bee6635330047e4697524b800baa0c67a886394f4f1de95fdd','sha256:b9be10985a0d9629297e231b26afc604ef8fd1d078003c2d0234c38ee55e3db2');
INSERT INTO "events" VALUES(9,'2026-11-21T07:50:37.503Z','ann','request-1','move-alias','other',7,'live','{"version": null}','{"version": 7}',NULL,'sha256:b9be10985a0d9629297e231b26afc604ef8fd1d078003c2d0234c38ee55e3db2','sha256:ebaa6a57b037945e93e0ed56b4c6b8ae38f436e35330366544fcbe15d0bf8f2e');
INSERT INTO "events" VALUES(10,'2026-11-21T07:50:37.506Z','ann','request-1','delete-alias','other',NULL,'live','{"version": 7}',NULL,NULL,'sha256:ebaa6a57b037945e93e0ed56b4c6b8ae38f436e35330366544fcbe15d0bf8f2e','sha256:4b956eee3db6cc2cdde75e552eda1f2b34004c3d1230d5c157b30dd15a43d0e5');
INSERT INTO "events" VALUES(11,'2026-11-21T07:50:37.509Z','ann','request-1','delete-version','other',7,NULL,'{"digest": "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}',NULL,NULL,'sha256:4b956eee3db6cc2cdde75e552eda1f2b34004c3d1230d5c157b30dd15a43d0e5','sha256:d0fad7d24ff463b3fc3a1aaec997817f33fdc96215b5af517e6ce46d88ef6104');
INSERT INTO "events" VALUES(12,'2026-11-21T17:53:30.209Z','ann','request-3','set-examples','iris',2,NULL,'null','{"rows":1,"given":["predict"]}','a proof','sha256:368bfdea72afeafac8e1302530e93224015c1a08a235b906282dbec50d73686a','sha256:aff61852c5710fed2638400c08d976ea1005d8612f6092c7ee6290607e9c3d7f');
INSERT INTO "events" VALUES(13,'2026-11-22T00:53:17.830Z','ann','request-4','update-version','iris',1,NULL,'{"engine":null}','{"engine":"native"}',NULL,'sha256:aff61852c5710fed2638400c08d976ea1005d8612f6092c7ee6290607e9c3d7f','sha256:9c5682d2ed245e5a17634e29957a377f4327f8ee4accba88c0b31ca55cfbe520');
CREATE TABLE examples (
	model VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	content JSON NOT NULL, 
	PRIMARY KEY (model, version)
);
INSERT INTO "examples" VALUES('iris',2,'{"rows":[[5.1]],"outputs":{"predict":[0]},"given":["predict"],"tolerance":1e-6}');
CREATE TABLE models (
	name VARCHAR(64) NOT NULL, 
	description TEXT, 
	tags JSON NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	live_deleted INTEGER NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "models" VALUES('iris',NULL,'{}','2026-11-21T07:50:37.484Z',0);
INSERT INTO "models" VALUES('other',NULL,'{}','2026-11-21T07:50:37.502Z',1);
CREATE TABLE registry_state (
	id INTEGER NOT NULL, 
	schema_version INTEGER NOT NULL, 
	revision INTEGER NOT NULL, store VARCHAR(32) DEFAULT '' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "registry_state" VALUES(1,4,13,'0a4d0052427b44b4a29473a3101a974d');
CREATE TABLE retired_versions (
	model VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	PRIMARY KEY (model, version)
);
INSERT INTO "retired_versions" VALUES('other',7);
CREATE TABLE versions (
	model VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	digest VARCHAR(80) NOT NULL, 
	size INTEGER NOT NULL, 
	facts JSON NOT NULL, 
	safety JSON, 
	class_names JSON, 
	description TEXT, 
	tags JSON NOT NULL, 
	created_at VARCHAR(32) NOT NULL, acceleration JSON, program VARCHAR(80), pinned VARCHAR(8), 
	PRIMARY KEY (model, version), 
	FOREIGN KEY(model) REFERENCES models (name)
);
INSERT INTO "versions" VALUES('iris',1,'ready','sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',3,'{"format": "skops", "estimator": "SVC", "methods": ["predict"], "schema": {"inputs": [{"name": "x0", "type": "number", "nullable": false, "sample": null}], "outputs": [], "classes": ["a", "b"], "names_from": "position", "text": false, "frame": false}, "environment": {"python": "3.11.2", "scikit-learn": "1.7.0"}, "warnings": []}','null','null','the first','{}','2026-11-21T07:50:37.487Z',NULL,NULL,'native');
INSERT INTO "versions" VALUES('iris',2,'ready','sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',3,'{"format":"skops","estimator":"SVC","methods":["predict"],"schema":{"inputs":[{"name":"x0","type":"number","nullable":false,"sample":5.1}],"outputs":[],"classes":["a","b"],"names_from":"position","text":false,"frame":false},"environment":{"python":"3.11.2","scikit-learn":"1.7.0"},"fitted":{},"warnings":[]}','null','null',NULL,'{}','2026-11-21T07:50:37.493Z',NULL,NULL,NULL);
CREATE INDEX events_by_model ON events (model, id);
CREATE INDEX versions_by_digest ON versions (digest);
CREATE INDEX checks_by_version ON checks (model, version, id);
CREATE INDEX versions_by_program ON versions (program);
COMMIT;
