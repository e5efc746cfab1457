BEGIN TRANSACTION;
CREATE TABLE claims (host TEXT NOT NULL, guest TEXT NOT NULL, public TEXT NOT NULL,
                     private TEXT, standing TEXT NOT NULL, place INTEGER NOT NULL,
                     row TEXT NOT NULL, PRIMARY KEY (host, guest, public));
INSERT INTO "claims" VALUES('home1','00000000-0000-0000-0000-000000000001','203.0.113.10','192.168.122.50','holding',1,'{"host":"home1","guest":"00000000-0000-0000-0000-000000000001","public":"203.0.113.10","name":"web1","private":"192.168.122.50","mode":"nat","client":"keep","rewriter":"edge","standing":"holding","place":1,"since":1700001000.0,"epoch":1}');
INSERT INTO "claims" VALUES('home1','00000000-0000-0000-0000-000000000002','203.0.113.11','192.168.122.51','holding',2,'{"host":"home1","guest":"00000000-0000-0000-0000-000000000002","public":"203.0.113.11","name":"web2","private":"192.168.122.51","mode":"nat","client":"hide","rewriter":"edge","standing":"holding","place":2,"since":1700001000.0,"epoch":2}');
INSERT INTO "claims" VALUES('home2','00000000-0000-0000-0000-000000000003','203.0.113.10','192.168.122.60','waiting',3,'{"host":"home2","guest":"00000000-0000-0000-0000-000000000003","public":"203.0.113.10","name":"web3","private":"192.168.122.60","mode":"nat","client":"keep","rewriter":"edge","standing":"waiting","place":3,"since":1700001000.0}');
INSERT INTO "claims" VALUES('home2','00000000-0000-0000-0000-000000000004','192.0.2.1','192.168.122.61','refused',4,'{"host":"home2","guest":"00000000-0000-0000-0000-000000000004","public":"192.0.2.1","name":"web4","private":"192.168.122.61","mode":"nat","client":"keep","rewriter":"edge","standing":"refused","place":4,"since":1700001000.0,"reason":"192.0.2.1 is outside every pool of home2 (pools: hk, tw)"}');
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "counters" VALUES('epoch',2);
INSERT INTO "counters" VALUES('place',4);
INSERT INTO "counters" VALUES('session',2);
INSERT INTO "counters" VALUES('start',1700001001);
CREATE TABLE hosts (name TEXT PRIMARY KEY, credential TEXT UNIQUE, row TEXT NOT NULL);
INSERT INTO "hosts" VALUES('home1','34c73e2926883a9f6bd51249e8e5d1313d0d63626d1afd4f982935b516b806b7','{"name":"home1","prefixes":["192.168.0.0/16"],"group":"rack","credential":"34c73e2926883a9f6bd51249e8e5d1313d0d63626d1afd4f982935b516b806b7","hostname":"home1.lan","agent":"zthook 0.1.0","instance":"first","session":1,"sequence":2,"digest":"9f4d185385d34813cec5138e4bf7f97804fb08992fa4ad0e12df7c71a693463d","address":"10.147.0.11","mac":"02:00:00:00:01:0b","seen":1700001000.0}');
INSERT INTO "hosts" VALUES('home2','9d19146b6c3a169509a5ceb764fbfe6633f8d48e52352e2b3b43573e06962930','{"name":"home2","member":"5d4548d482","credential":"9d19146b6c3a169509a5ceb764fbfe6633f8d48e52352e2b3b43573e06962930","hostname":"home2.lan","agent":"zthook 0.1.0","instance":"first","session":2,"sequence":2,"digest":"0c87d769a292de32e7f50403e63d4f38254d50390f90bcac2d540fd56ba8a778","address":"10.147.0.12","mac":"02:00:00:00:01:0c","seen":1700001000.0}');
INSERT INTO "hosts" VALUES('home3',NULL,'{"name":"home3"}');
CREATE TABLE invitations (secret TEXT PRIMARY KEY, host TEXT NOT NULL, expires REAL NOT NULL,
                          row TEXT NOT NULL);
INSERT INTO "invitations" VALUES('fffc5c5c23bee8ea6bf54d5ca62ab3bd3dd4f55c3455de2dbe14d9d1f8a7b68d','home1',1700087400.0,'{"secret":"fffc5c5c23bee8ea6bf54d5ca62ab3bd3dd4f55c3455de2dbe14d9d1f8a7b68d","host":"home1","expires":1700087400.0,"used":true}');
INSERT INTO "invitations" VALUES('74d79cd545f9ff638774d94a63a948312a63edb995f078fe6c777463e7b85714','home2',1700087400.0,'{"secret":"74d79cd545f9ff638774d94a63a948312a63edb995f078fe6c777463e7b85714","host":"home2","expires":1700087400.0,"used":true}');
INSERT INTO "invitations" VALUES('3f4042f07aae3af9b2b3036b66ad84e51dfba36f583fdc69af5ebc8523cf8e73','home3',1700087400.0,'{"secret":"3f4042f07aae3af9b2b3036b66ad84e51dfba36f583fdc69af5ebc8523cf8e73","host":"home3","expires":1700087400.0}');
CREATE INDEX claims_by_public ON claims (public, place);
CREATE INDEX claims_by_private ON claims (private);
CREATE INDEX claims_by_standing ON claims (standing, public, place);
CREATE UNIQUE INDEX one_holder ON claims (public) WHERE standing IN ('holding', 'leaving');
COMMIT;
PRAGMA user_version = 1;
