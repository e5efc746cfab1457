BEGIN TRANSACTION;
CREATE TABLE claims (host TEXT NOT NULL, guest TEXT NOT NULL, asked TEXT NOT NULL,
                     public TEXT NOT NULL, private TEXT, standing TEXT NOT NULL,
                     place INTEGER NOT NULL, row TEXT NOT NULL,
                     PRIMARY KEY (host, guest, asked));
INSERT INTO "claims" VALUES('home1','00000000-0000-0000-0000-000000000001','203.0.113.10','203.0.113.10','192.168.122.50','holding',1,'{"name":"web1","private":"192.168.122.50","mode":"nat","client":"keep","rewriter":"edge","egress":"home","host":"home1","guest":"00000000-0000-0000-0000-000000000001","asked":"203.0.113.10","public":"203.0.113.10","standing":"holding","place":1,"since":1700001000.0,"epoch":1}');
INSERT INTO "claims" VALUES('home1','00000000-0000-0000-0000-000000000002','203.0.113.11','203.0.113.11','192.168.122.51','holding',2,'{"name":"web2","private":"192.168.122.51","mode":"nat","client":"hide","rewriter":"edge","egress":"home","host":"home1","guest":"00000000-0000-0000-0000-000000000002","asked":"203.0.113.11","public":"203.0.113.11","standing":"holding","place":2,"since":1700001000.0,"epoch":2}');
INSERT INTO "claims" VALUES('home2','00000000-0000-0000-0000-000000000003','203.0.113.10','203.0.113.10','192.168.122.60','waiting',3,'{"name":"web3","private":"192.168.122.60","mode":"nat","client":"keep","rewriter":"edge","egress":"home","host":"home2","guest":"00000000-0000-0000-0000-000000000003","asked":"203.0.113.10","public":"203.0.113.10","standing":"waiting","place":3,"since":1700001000.0}');
INSERT INTO "claims" VALUES('home2','00000000-0000-0000-0000-000000000004','192.0.2.1','192.0.2.1','192.168.122.61','refused',4,'{"name":"web4","private":"192.168.122.61","mode":"nat","client":"keep","rewriter":"edge","egress":"home","host":"home2","guest":"00000000-0000-0000-0000-000000000004","asked":"192.0.2.1","public":"192.0.2.1","standing":"refused","place":4,"since":1700001000.0,"reason":"192.0.2.1 is outside every pool of home2 (pools: hk, tw)"}');
INSERT INTO "claims" VALUES('home2','00000000-0000-0000-0000-000000000005','203.0.113.12','203.0.113.12','192.168.122.62','holding',5,'{"name":"web5","private":"192.168.122.62","mode":"nat","client":"keep","rewriter":"edge","egress":"home","ports":["tcp/80:8080"],"allow":["198.51.100.0/24"],"host":"home2","guest":"00000000-0000-0000-0000-000000000005","asked":"203.0.113.12","public":"203.0.113.12","standing":"holding","place":5,"since":1700001000.0,"epoch":3}');
INSERT INTO "claims" VALUES('home2','00000000-0000-0000-0000-000000000006','auto/hk/0','203.0.113.13','192.168.122.63','holding',6,'{"name":"web6","private":"192.168.122.63","mode":"nat","client":"keep","rewriter":"edge","egress":"public","host":"home2","guest":"00000000-0000-0000-0000-000000000006","asked":"auto/hk/0","public":"203.0.113.13","standing":"holding","place":6,"since":1700001000.0,"epoch":4}');
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "counters" VALUES('epoch',4);
INSERT INTO "counters" VALUES('place',6);
INSERT INTO "counters" VALUES('session',2);
INSERT INTO "counters" VALUES('start',1700001001);
CREATE TABLE hosts (name TEXT PRIMARY KEY, credential TEXT UNIQUE, row TEXT NOT NULL);
INSERT INTO "hosts" VALUES('home1','24c79a654a8ce2ba12086ae925c2b67a8b74d744fc060e7c2e5af4c5a2df128e','{"name":"home1","prefixes":["192.168.0.0/16"],"group":"rack","credential":"24c79a654a8ce2ba12086ae925c2b67a8b74d744fc060e7c2e5af4c5a2df128e","hostname":"home1.lan","agent":"zthook 0.1.0","instance":"first","session":1,"sequence":2,"digest":"9f4d185385d34813cec5138e4bf7f97804fb08992fa4ad0e12df7c71a693463d","address":"10.147.0.11","mac":"02:00:00:00:01:0b","seen":1700001000.0}');
INSERT INTO "hosts" VALUES('home2','c6c4fb408bb82e71364213802caecaabc023145a07581cddf6a48f44ace94d94','{"name":"home2","member":"5d4548d482","credential":"c6c4fb408bb82e71364213802caecaabc023145a07581cddf6a48f44ace94d94","hostname":"home2.lan","agent":"zthook 0.1.0","instance":"first","session":2,"sequence":4,"digest":"51008e1dca0c6271fa2d08cd13b835037994f776161544a521f7cd3b4e041e1c","address":"10.147.0.12","mac":"02:00:00:00:01:0c","seen":1700001000.0}');
INSERT INTO "hosts" VALUES('home3',NULL,'{"name":"home3"}');
CREATE TABLE invitations (secret TEXT PRIMARY KEY, host TEXT NOT NULL, expires REAL NOT NULL,
                          row TEXT NOT NULL);
INSERT INTO "invitations" VALUES('89b0178b659b776b5c4d99b463b4ec46f058989123bddf1373b4a4053d07bd58','home1',1700087400.0,'{"secret":"89b0178b659b776b5c4d99b463b4ec46f058989123bddf1373b4a4053d07bd58","host":"home1","expires":1700087400.0,"used":true}');
INSERT INTO "invitations" VALUES('8c13e0d7538f5c36e56b78d7288fc44a1ac4be14eb5a5e750368de4c58404c17','home2',1700087400.0,'{"secret":"8c13e0d7538f5c36e56b78d7288fc44a1ac4be14eb5a5e750368de4c58404c17","host":"home2","expires":1700087400.0,"used":true}');
INSERT INTO "invitations" VALUES('3ae316ed01f5e9afb1016742f3c67cb646792e2bf2b5a01bbe7fe40cbd276aac','home3',1700087400.0,'{"secret":"3ae316ed01f5e9afb1016742f3c67cb646792e2bf2b5a01bbe7fe40cbd276aac","host":"home3","expires":1700087400.0}');
CREATE TABLE reservations (guest TEXT NOT NULL, asked TEXT NOT NULL, public TEXT UNIQUE NOT NULL,
                           row TEXT NOT NULL, PRIMARY KEY (guest, asked));
INSERT INTO "reservations" VALUES('00000000-0000-0000-0000-000000000006','auto/hk/0','203.0.113.13','{"guest":"00000000-0000-0000-0000-000000000006","pool":"hk","nth":0,"public":"203.0.113.13","name":"web6","host":"home2","since":1700001000.0}');
CREATE INDEX claims_by_public ON claims (public, place);
CREATE INDEX claims_by_private ON claims (private);
CREATE INDEX claims_by_guest ON claims (guest, place);
CREATE INDEX claims_by_standing ON claims (standing, public, place);
COMMIT;
PRAGMA user_version = 2;
