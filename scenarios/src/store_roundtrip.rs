//! Are database, registry and object store really the ones that the cell asked for, and do they hold what is written?
//!
//! Each store is found as the installation's own components are configured with it, spoken to from inside of the cluster
//! with the login that they use, and also asked for what it must refuse.

use std::collections::BTreeMap;

use gsh_engine::BoxFuture;
use gsh_engine::bench::{Bench, Scenario};
use gsh_engine::failure::Failure;
use gsh_gitpod::probe::Probe;
use gsh_gitpod::stores::{Database, Images, Objects, Word};
use gsh_gitpod::wsman::WsManager;
use gsh_model::axis::{Database as DatabaseAxis, Registry};
use gsh_model::scenario::{Impact, Need, ScenarioId, ScenarioSpec};

use crate::guest::{Guest, STOP, launch, probe, succeeded};

pub(crate) const SCENARIO: Scenario = Scenario { spec, run };

/// The user that the migrations put into every database of Gitpod.
const BUILTIN_USER: &str = "builtin-user-workspace-probe-0000000";

fn spec() -> ScenarioSpec {
    ScenarioSpec {
        id: ScenarioId::of("store-roundtrip"),
        asks: "are database, registry and object store those of the cell, and do they hold what is written".to_owned(),
        needs: vec![Need::Writable],
        impact: Impact::CreatesWorkspace,
        patience_s: 30 * 60,
        file: "scenarios/src/store_roundtrip.rs".to_owned(),
    }
}

fn run(bench: &Bench) -> BoxFuture<'_, Result<(), Failure>> {
    Box::pin(examine(bench))
}

async fn examine(bench: &Bench) -> Result<(), Failure> {
    let wsman = WsManager::new(bench.cluster(), bench.installation())?;
    let launch = launch(bench);
    let word = format!("gsh-{}", launch.instance()).parse::<Word>();
    let word = word.map_err(|e| Failure::harness("GSH-STO-001", "a word for the stores", e.to_string()))?;
    let look = Look { bench, probe: probe(bench, "stores", "GSH-STO-002"), word };
    // What a killed run wrote is found by this.
    let labels = BTreeMap::from([(Word::LABEL.to_owned(), word.to_string())]);
    let started = look.probe.start(bench.cx(), &labels, None, &["sleep", "7200"], "GSH-STO-001");
    bench.check("GSH-STO-001", "a probe runs in the cluster", started).await?;
    // The stores are independent of each other: each is looked at whatever the others say.
    let database = look.database().await;
    let images = look.images().await;
    let objects = look.objects(&wsman, launch).await;
    database.and(images).and(objects)
}

/// What all looks share.
struct Look<'a> {
    bench: &'a Bench,
    probe: Probe,
    /// Names everything that is written.
    word: Word,
}

impl Look<'_> {
    async fn database(&self) -> Result<(), Failure> {
        let (bench, namespace) = (self.bench, &self.bench.installation().namespace);
        let code = "GSH-STO-010";
        let found = bench.check(code, "the server's database is the one that the cell asked for", async {
            let found = Database::configured(bench.cx(), bench.cluster(), namespace, code).await?;
            found.is_of(bench.cell().database, bench.cluster(), namespace, code)?;
            Ok(found)
        });
        let database = found.await?;
        bench.check("GSH-STO-011", "it is the installation's own", self.has_builtin_user(&database)).await?;
        let kept = bench.check("GSH-STO-012", "it holds what is written", self.row_is_kept(&database)).await;
        let refused = bench.check("GSH-STO-013", "it refuses a wrong password", self.wrong_password(&database)).await;
        let title = "its connections are encrypted under the authority that was given";
        let encrypted = match bench.cell().database {
            DatabaseAxis::ExternalTls => bench.check("GSH-STO-014", title, self.is_encrypted(&database)).await,
            DatabaseAxis::InCluster | DatabaseAxis::External => {
                bench.skip("GSH-STO-014", title, "the cell asks for a database without TLS").await;
                Ok(())
            }
        };
        kept.and(refused).and(encrypted)
    }

    /// Runs statements in a session of their own; the first row of the last one.
    async fn sql(
        &self,
        database: &Database,
        statements: &[String],
        code: &'static str,
        expected: &str,
    ) -> Result<Vec<String>, Failure> {
        let answer = database.run(&self.probe, statements, code).await?;
        answer.map_err(|e| Failure::product(code, expected, e.to_string()))
    }

    async fn has_builtin_user(&self, database: &Database) -> Result<(), Failure> {
        let code = "GSH-STO-011";
        let expected = format!("the database at {} has the user that the migrations make", database.host);
        let statement = format!("SELECT COUNT(*) FROM d_b_user WHERE id = '{BUILTIN_USER}'");
        let row = self.sql(database, &[statement], code, &expected).await?;
        match row.first().map(String::as_str) {
            Some("1") => Ok(()),
            other => Err(Failure::product(code, expected, format!("it has {} such users", other.unwrap_or("no")))),
        }
    }

    async fn row_is_kept(&self, database: &Database) -> Result<(), Failure> {
        let code = "GSH-STO-012";
        let (word, table) = (self.word.to_string(), self.word.table());
        let (probe, to_clean, of) = (self.probe.clone(), database.clone(), self.word);
        self.bench.undo(&format!("table {table}"), async move { to_clean.erase(&probe, of, "GSH-STO-040").await });
        let write = [
            format!("CREATE TABLE {table} (word varchar(64) NOT NULL)"),
            format!("INSERT INTO {table} (word) VALUES ('{word}')"),
        ];
        self.sql(database, &write, code, "a table is made and a row written").await?;
        let read = async |word: &str| {
            let statement = format!("SELECT word FROM {table} WHERE word = '{word}'");
            self.sql(database, &[statement], code, "the row is read in another session").await
        };
        let (kept, never) = (read(&word).await?, read("never-written").await?);
        if kept != [word.as_str()] || !never.is_empty() {
            let observed = format!("it reads {kept:?}, and {never:?} for what was never written");
            return Err(Failure::product(code, format!("another session reads `{word}`"), observed));
        }
        Ok(())
    }

    async fn wrong_password(&self, database: &Database) -> Result<(), Failure> {
        let code = "GSH-STO-013";
        let expected = "a login with a wrong password is denied";
        match database.run_as(&self.probe, "not-the-password-of-this-user", &["SELECT 1".to_owned()], code).await? {
            Err(gsh_gitpod::stores::NoAnswer::Denied(_)) => Ok(()),
            Err(other) => Err(Failure::environment(code, expected, other.to_string())),
            Ok(_) => Err(Failure::product(code, expected, "it was let in")),
        }
    }

    async fn is_encrypted(&self, database: &Database) -> Result<(), Failure> {
        let code = "GSH-STO-014";
        let expected = "a session that insists on TLS has a cipher";
        // The client gives up where the certificate is not signed by the authority that the server's container has.
        let statement = "SHOW STATUS LIKE 'Ssl_cipher'".to_owned();
        let row = self.sql(database, &[statement], code, expected).await?;
        match row.get(1).map(String::as_str) {
            Some(cipher) if !cipher.is_empty() => Ok(()),
            _ => Err(Failure::product(code, expected, format!("it has {row:?}"))),
        }
    }

    async fn images(&self) -> Result<(), Failure> {
        let (bench, installation) = (self.bench, self.bench.installation());
        let code = "GSH-STO-020";
        let found = bench.check(code, "workspace images go to the registry that the cell asked for", async {
            let found = Images::configured(bench.cx(), bench.cluster(), installation, code).await?;
            found.is_of(bench.cell().registry, bench.cluster(), code)?;
            Ok(found)
        });
        let images = found.await?;
        let pushed = bench.check("GSH-STO-021", "it holds what is pushed", self.blob_is_kept(&images)).await;
        let refused = bench.check("GSH-STO-022", "it lets nobody in without a login", self.no_login(&images)).await;
        let title = "its blobs are in the bucket that the cell asked for";
        let in_bucket = match (bench.cell().registry, &pushed) {
            (Registry::InClusterS3, Ok(digest)) => {
                bench.check("GSH-STO-023", title, self.blob_is_in_bucket(digest)).await
            }
            (Registry::InClusterS3, Err(_)) => {
                bench.skip("GSH-STO-023", title, "no blob could be pushed").await;
                Ok(())
            }
            (Registry::InCluster | Registry::External, _) => {
                bench.skip("GSH-STO-023", title, "the cell asks for no bucket behind the registry").await;
                Ok(())
            }
        };
        pushed.map(drop).and(refused).and(in_bucket)
    }

    async fn blob_is_kept(&self, images: &Images) -> Result<String, Failure> {
        let code = "GSH-STO-021";
        let word = self.word.to_string();
        let digest = images.push(&self.probe, word.as_bytes(), code).await?;
        let expected = format!("the blob sha256:{digest} is read back from {}", images.url);
        match images.pull(&self.probe, &digest, code).await? {
            Some(blob) if blob == word.as_bytes() => {}
            Some(blob) => return Err(Failure::product(code, expected, format!("{} other bytes came", blob.len()))),
            None => return Err(Failure::product(code, expected, "the registry does not know it")),
        }
        let never = "0".repeat(64);
        match images.pull(&self.probe, &never, code).await? {
            None => Ok(digest),
            Some(_) => Err(Failure::product(code, "a blob that was never pushed is unknown", "it came")),
        }
    }

    async fn no_login(&self, images: &Images) -> Result<(), Failure> {
        let code = "GSH-STO-022";
        let status = images.status_without_login(&self.probe, code).await?.as_u16();
        match status {
            401 | 403 => Ok(()),
            _ => Err(Failure::product(code, "a request without a login is refused", format!("status {status}"))),
        }
    }

    async fn blob_is_in_bucket(&self, digest: &str) -> Result<(), Failure> {
        let (code, bench) = ("GSH-STO-023", self.bench);
        let namespace = &bench.installation().namespace;
        let expected = "the registry is configured with a bucket";
        let store = Objects::of_registry(bench.cx(), bench.cluster(), namespace, code).await?;
        let store = store.ok_or_else(|| Failure::product(code, expected, "it keeps its blobs on a volume"))?;
        let bucket = store.bucket.clone().unwrap_or_default();
        if let Some(given) = &bench.cluster().stores.s3
            && (given.endpoint != store.endpoint || given.registry_bucket != bucket)
        {
            let wanted = format!("the bucket is `{}` of {}", given.registry_bucket, given.endpoint);
            return Err(Failure::product(code, wanted, format!("it is `{bucket}` of {}", store.endpoint)));
        }
        let objects = store.list(&self.probe, &bucket, "docker/registry/v2/blobs/sha256/", code).await?;
        if objects.iter().any(|(key, size)| key.contains(digest) && *size > 0) {
            return Ok(());
        }
        let observed = format!("none of {} objects is", objects.len());
        Err(Failure::product(code, format!("an object of bucket `{bucket}` is the blob {digest}"), observed))
    }

    async fn objects(&self, wsman: &WsManager, launch: gsh_gitpod::wsman::Launch) -> Result<(), Failure> {
        let (bench, namespace) = (self.bench, &self.bench.installation().namespace);
        let code = "GSH-STO-030";
        let found = bench.check(code, "content goes to the object store that the cell asked for", async {
            let found = Objects::configured(bench.cx(), bench.cluster(), namespace, code).await?;
            found.is_of(bench.cell().storage, bench.cluster(), namespace, code)?;
            Ok(found)
        });
        let objects = found.await?;
        // In a bucket of everybody among the others' objects, else in one of its own.
        let bucket = objects.bucket_of(self.word);
        let kept = bench.check("GSH-STO-031", "it holds what is written", self.object_is_kept(&objects, &bucket)).await;
        let refused = bench.check("GSH-STO-032", "it refuses a wrong key", self.wrong_key(&objects, &bucket)).await;

        let guest = Guest::open(bench, wsman, launch, "GSH-STO-033", "a workspace starts and runs").await?;
        let place = BackupPlace::of(&objects, &guest);
        let before =
            bench.check("GSH-STO-034", "the store has nothing of it yet", self.has_no_backup(&objects, &place));
        before.await?;
        bench.check("GSH-STO-035", "it is used, stops and is backed up", self.use_and_stop(&guest)).await?;
        let after = bench.check("GSH-STO-036", "its backup is in the store", self.has_backup(&objects, &place)).await;
        kept.and(refused).and(after)
    }

    async fn object_is_kept(&self, objects: &Objects, bucket: &str) -> Result<(), Failure> {
        let code = "GSH-STO-031";
        let (word, own) = (self.word.to_string(), objects.bucket.is_none());
        let (probe, to_clean, of) = (self.probe.clone(), objects.clone(), self.word);
        self.bench.undo(&format!("object {word}"), async move { to_clean.erase(&probe, of, "GSH-STO-041").await });
        if own {
            objects.make_bucket(&self.probe, bucket, code).await?;
        }
        let at = (bucket, word.as_str());
        objects.put(&self.probe, at, word.as_bytes(), code).await?;
        let read = objects.get(&self.probe, at, code).await?;
        let never = objects.get(&self.probe, (bucket, "gsh-never-written"), code).await?;
        let listed = objects.list(&self.probe, bucket, &word, code).await?;
        if read.as_deref() == Some(word.as_bytes()) && never.is_none() && listed.len() == 1 {
            return Ok(());
        }
        let observed = format!(
            "it reads {} bytes, {} for what was never written, and lists {} objects",
            read.map_or("no".to_owned(), |r| r.len().to_string()),
            never.map_or("none".to_owned(), |n| format!("{} bytes", n.len())),
            listed.len()
        );
        Err(Failure::product(code, "an object is read back and listed, and no other is", observed))
    }

    async fn wrong_key(&self, objects: &Objects, bucket: &str) -> Result<(), Failure> {
        let code = "GSH-STO-032";
        let status = objects.status_with_wrong_key(&self.probe, (bucket, &self.word.to_string()), code).await?.as_u16();
        match status {
            401 | 403 => Ok(()),
            _ => {
                Err(Failure::product(code, "a request signed with a wrong key is refused", format!("status {status}")))
            }
        }
    }

    async fn use_and_stop(&self, guest: &Guest) -> Result<(), Failure> {
        let code = "GSH-STO-035";
        let command = format!("printf %s {} > /workspace/gsh-kept && cat /workspace/gsh-kept", self.word);
        let done = guest.run(self.bench, code, &command).await?;
        succeeded(&done, code, "a file is written to /workspace")?;
        guest.workspace().stop(self.bench.cx(), code, STOP).await
    }

    async fn has_no_backup(&self, objects: &Objects, place: &BackupPlace) -> Result<(), Failure> {
        let code = "GSH-STO-034";
        let found = place.find(objects, &self.probe, code).await?;
        if found.is_empty() {
            return Ok(());
        }
        let expected = "nothing in the store belongs to a workspace that never stopped";
        Err(Failure::product(code, expected, format!("{} does", found[0].0)))
    }

    async fn has_backup(&self, objects: &Objects, place: &BackupPlace) -> Result<(), Failure> {
        let code = "GSH-STO-036";
        let found = place.find(objects, &self.probe, code).await?;
        match found.iter().find(|(_, size)| *size > 0) {
            Some((key, size)) => {
                self.bench.note(&format!("the backup is {key} of bucket {}, {size} bytes", place.bucket)).await;
                Ok(())
            }
            None => {
                let expected =
                    format!("an object of bucket `{}` belongs to workspace {}", place.bucket, place.workspace);
                Err(Failure::product(code, expected, "none does"))
            }
        }
    }
}

/// Where a workspace's backup is.
struct BackupPlace {
    bucket: String,
    owner: String,
    workspace: String,
}

impl BackupPlace {
    fn of(objects: &Objects, guest: &Guest) -> Self {
        let owner = guest.launch().owner().to_owned();
        let bucket = objects.bucket.clone().unwrap_or_else(|| format!("gitpod-user-{owner}"));
        Self { bucket, owner, workspace: guest.id().to_owned() }
    }

    /// The objects of the workspace, whatever stands before `workspaces/`: in a bucket of everybody it is the owner.
    async fn find(&self, objects: &Objects, probe: &Probe, code: &'static str) -> Result<Vec<(String, u64)>, Failure> {
        let below = format!("workspaces/{}/", self.workspace);
        let mut all = Vec::new();
        for prefix in [below.clone(), format!("{}/{below}", self.owner)] {
            all.extend(objects.list(probe, &self.bucket, &prefix, code).await?);
        }
        Ok(all)
    }
}
