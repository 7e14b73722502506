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
	"after" JSON, 
	PRIMARY KEY (id)
);
INSERT INTO "events" VALUES(1,'2026-11-21T07:50:37.485Z','ann','request-1','create-model','iris',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(2,'2026-11-21T07:50:37.488Z','ann','request-1','upload','iris',1,NULL,NULL,'{"digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}');
INSERT INTO "events" VALUES(3,'2026-11-21T07:50:37.489Z','ann','request-1','move-alias','iris',1,'live','{"version": null}','{"version": 1}');
INSERT INTO "events" VALUES(4,'2026-11-21T07:50:37.493Z','ann','request-1','upload','iris',2,NULL,NULL,'{"digest": "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"}');
INSERT INTO "events" VALUES(5,'2026-11-21T07:50:37.497Z','ann','request-1','move-alias','iris',2,'live','{"version": 1}','{"version": 2}');
INSERT INTO "events" VALUES(6,'2026-11-21T07:50:37.500Z','ann','request-1','update-version','iris',1,NULL,'{"state": "ready", "description": null, "tags": {}, "class_names": null, "column_names": ["x0"]}','{"state": "ready", "description": "the first", "tags": {}, "class_names": null, "column_names": ["x0"]}');
INSERT INTO "events" VALUES(7,'2026-11-21T07:50:37.502Z','ann','request-1','create-model','other',NULL,NULL,NULL,NULL);
INSERT INTO "events" VALUES(8,'2026-11-21T07:50:37.503Z','ann','request-1','upload','other',7,NULL,NULL,'{"digest": "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}');
INSERT INTO "events" VALUES(9,'2026-11-21T07:50:37.503Z','ann','request-1','move-alias','other',7,'live','{"version": null}','{"version": 7}');
INSERT INTO "events" VALUES(10,'2026-11-21T07:50:37.506Z','ann','request-1','delete-alias','other',NULL,'live','{"version": 7}',NULL);
INSERT INTO "events" VALUES(11,'2026-11-21T07:50:37.509Z','ann','request-1','delete-version','other',7,NULL,'{"digest": "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"}',NULL);
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
	revision INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "registry_state" VALUES(1,2,11);
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
	created_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (model, version), 
	FOREIGN KEY(model) REFERENCES models (name)
);
INSERT INTO "versions" VALUES('iris',1,'ready','sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',3,'{"format": "skops", "estimator": "SVC", "methods": ["predict"], "schema": {"inputs": [{"name": "x0", "type": "number", "nullable": false, "sample": null}], "outputs": [], "classes": ["a", "b"], "names_from": "position", "text": false, "frame": false}, "environment": {"python": "3.11.2", "scikit-learn": "1.7.0"}, "warnings": []}','null','null','the first','{}','2026-11-21T07:50:37.487Z');
INSERT INTO "versions" VALUES('iris',2,'ready','sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb',3,'{"format": "skops", "estimator": "SVC", "methods": ["predict"], "schema": {"inputs": [{"name": "x0", "type": "number", "nullable": false, "sample": null}], "outputs": [], "classes": ["a", "b"], "names_from": "position", "text": false, "frame": false}, "environment": {"python": "3.11.2", "scikit-learn": "1.7.0"}, "warnings": []}','null','null',NULL,'{}','2026-11-21T07:50:37.493Z');
CREATE INDEX events_by_model ON events (model, id);
CREATE INDEX versions_by_digest ON versions (digest);
COMMIT;
