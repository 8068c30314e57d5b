//! The external stores of a cell: those that are given, and for the others one machine with MySQL 5.7, a registry and MinIO
//! in containers, in the lease's network.
//!
//! Its private address is not known when its user-data is written, so the certificate names every address that the small
//! subnet can give it.

use std::net::Ipv4Addr;

use gsh_engine::cx::Cx;
use gsh_engine::failure::Failure;
use gsh_engine::provider::{DatabaseStore, Origin, RegistryStore, S3Store, Stores};
use gsh_engine::secret::Secret;
use gsh_model::axis::{Cell, Database, Os, Registry};
use gsh_model::stores::{self, StoreKind};
use gsh_ssh::KeyPair;
use rand::Rng;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose, SanType};

use super::cloud_config::{File, argv};
use super::node::{UserData, base, preamble, sealed};
use super::sshd;

const SCRIPT: &str = "/var/lib/gsh/stores.sh";
const USER: &str = "gitpod";
const CONTENT_BUCKET: &str = "gitpod-content";
const REGISTRY_BUCKET: &str = "gitpod-registry";

/// What a machine has to offer to a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    database: Option<Encrypted>,
    registry: bool,
    s3: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encrypted {
    Yes,
    No,
}

/// What a cell wants and nobody gives; nothing when no machine is needed.
#[must_use]
pub fn wanted(cell: &Cell, given: &Stores) -> Option<Wanted> {
    let given = given.serve(cell);
    let open = |kind| stores::wanted(cell).contains(&kind) && !given.contains(&kind);
    let encrypted = match cell.database {
        Database::InCluster | Database::External => Encrypted::No,
        Database::ExternalTls => Encrypted::Yes,
    };
    let wanted = Wanted {
        database: open(StoreKind::Database).then_some(encrypted),
        registry: open(StoreKind::Registry),
        s3: open(StoreKind::S3),
    };
    (wanted != Wanted { database: None, registry: false, s3: false }).then_some(wanted)
}

/// Whether a cell can have the stores that it wants. The plan has asked the same; here it is asked before money is spent.
///
/// # Errors
/// For a registry that keeps its images in a bucket, where no store over HTTPS is given: the installer forces HTTPS, and
/// gives the registry no authority of the site's own to trust, so that the store of our machine is of no use to it. The
/// product is not to blame for that.
pub fn feasible(cell: &Cell, given: &Stores) -> Result<(), Failure> {
    match cell.registry {
        Registry::InCluster | Registry::External => Ok(()),
        Registry::InClusterS3 if given.s3.as_ref().is_some_and(|s3| !s3.insecure) => Ok(()),
        Registry::InClusterS3 => Err(Failure::harness(
            "GSH-CLOUD-017",
            "an S3 store with a certificate of a public authority, for `registry = incluster-s3`",
            "the store that gsh brings up has none; give one in [stores.s3] of the matrix file",
        )),
    }
}

/// The stores of a cell: those that are given, and those of the machine.
#[must_use]
pub fn together(cell: &Cell, given: &Stores, made: Stores) -> Stores {
    let wants = given.serve(cell);
    Stores {
        database: made.database,
        registry: made.registry.or_else(|| given.registry.clone().filter(|_| wants.contains(&StoreKind::Registry))),
        s3: made.s3.or_else(|| given.s3.clone().filter(|_| wants.contains(&StoreKind::S3))),
    }
}

/// The machine's user-data, and what is needed to use what runs on it.
#[derive(Clone)]
pub struct StorePlan {
    /// User-data of the machine.
    pub user_data: UserData,
    wanted: Wanted,
    password: Secret,
    access_key: Secret,
    secret_key: Secret,
    ca_pem: String,
}

/// Chooses passwords and certificates, and writes the user-data.
///
/// # Errors
/// When a certificate cannot be made, or the user-data is too long.
pub fn plan(cx: &Cx, wanted: Wanted, host_key: &KeyPair, login: &str) -> Result<StorePlan, Failure> {
    let password = cx.secret("stores-password", random(24));
    // As random as the other half: a word that everybody uses would be blanked out of every text as a secret.
    let access_key = cx.secret("s3-access-key", random(20));
    let secret_key = cx.secret("s3-secret-key", random(32));
    let certificates = certificates().map_err(|e| {
        Failure::harness("GSH-STORE-001", "a certificate for the stores", "it cannot be made").because(&e)
    })?;
    let (script, digest) = sealed(&script(wanted, &password));
    let mut config = base(host_key, login);
    sshd::move_port(&mut config, Os::Ubuntu2204);
    config.package_update = true;
    config.packages = vec!["docker.io".to_owned(), "apache2-utils".to_owned()];
    let mysql = format!(
        "MYSQL_ROOT_PASSWORD={p}\nMYSQL_DATABASE=gitpod\nMYSQL_USER={USER}\nMYSQL_PASSWORD={p}\n",
        p = password.expose()
    );
    let minio = format!(
        "MINIO_ROOT_USER={a}\nMINIO_ROOT_PASSWORD={s}\nMC_HOST_gsh=http://{a}:{s}@127.0.0.1:9000\n",
        a = access_key.expose(),
        s = secret_key.expose()
    );
    // The servers in the containers run as users of their own and must read their key.
    config.write_files.extend([
        File::public("/var/lib/gsh/tls/ca.pem", certificates.ca.clone()),
        File::public("/var/lib/gsh/tls/cert.pem", certificates.leaf),
        File::public("/var/lib/gsh/tls/key.pem", cx.secret("stores-key", certificates.key).expose()),
        File::public("/var/lib/gsh/init/grants.sql", format!("GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n")),
        File::secret("/var/lib/gsh/mysql.env", mysql),
        File::secret("/var/lib/gsh/minio.env", minio),
        File::script(SCRIPT, script),
    ]);
    config.runcmd.push(argv(["sh", SCRIPT]));
    let user_data = UserData { text: config.render()?, digest };
    Ok(StorePlan { user_data, wanted, password, access_key, secret_key, ca_pem: certificates.ca })
}

impl StorePlan {
    /// The stores, on a machine with this private address.
    #[must_use]
    pub fn stores(&self, address: std::net::IpAddr) -> Stores {
        let database = self.wanted.database.map(|encrypted| DatabaseStore {
            host: address.to_string(),
            port: 3306,
            username: USER.to_owned(),
            password: self.password.clone(),
            ca_pem: match encrypted {
                Encrypted::Yes => Some(self.ca_pem.clone()),
                Encrypted::No => None,
            },
        });
        let registry = self.wanted.registry.then(|| RegistryStore {
            url: format!("{address}:5000"),
            username: USER.to_owned(),
            password: self.password.clone(),
            ca_pem: Some(self.ca_pem.clone()),
            origin: Origin::Made,
        });
        let s3 = self.wanted.s3.then(|| S3Store {
            endpoint: format!("{address}:9000"),
            region: "us-east-1".to_owned(),
            bucket: CONTENT_BUCKET.to_owned(),
            registry_bucket: REGISTRY_BUCKET.to_owned(),
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            insecure: true,
            origin: Origin::Made,
        });
        Stores { database, registry, s3 }
    }
}

/// A word that nobody can guess: letters and digits.
pub(crate) fn random(length: usize) -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(length).map(char::from).collect()
}

fn script(wanted: Wanted, password: &Secret) -> String {
    let mut s = preamble();
    let run = "docker run -d --restart always";
    if let Some(encrypted) = wanted.database {
        let options = match encrypted {
            Encrypted::Yes => " --ssl-ca=/tls/ca.pem --ssl-cert=/tls/cert.pem --ssl-key=/tls/key.pem",
            Encrypted::No => "",
        };
        s.push_str(&format!(
            "\nstep 'starting the database'\n\
             {run} --name gsh-mysql -p 3306:3306 --env-file /var/lib/gsh/mysql.env -v /var/lib/gsh/tls:/tls:ro \\\n\
             \x20 -v /var/lib/gsh/init:/docker-entrypoint-initdb.d:ro mysql:5.7{options} || fail 'the database does not start'\n"
        ));
    }
    if wanted.registry {
        s.push_str(&format!(
            "\nstep 'starting the registry'\n\
             mkdir -p /var/lib/gsh/auth\n\
             htpasswd -Bbn {USER} {password} > /var/lib/gsh/auth/htpasswd\n\
             {run} --name gsh-registry -p 5000:5000 -v /var/lib/gsh/tls:/tls:ro -v /var/lib/gsh/auth:/auth:ro \\\n\
             \x20 -e REGISTRY_AUTH=htpasswd -e REGISTRY_AUTH_HTPASSWD_REALM=gsh -e REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd \\\n\
             \x20 -e REGISTRY_HTTP_TLS_CERTIFICATE=/tls/cert.pem -e REGISTRY_HTTP_TLS_KEY=/tls/key.pem registry:2 \\\n\
             \x20 || fail 'the registry does not start'\n",
            password = password.expose(),
        ));
    }
    if wanted.s3 {
        s.push_str(&format!(
            "\nstep 'starting the object store'\n\
             {run} --name gsh-minio -p 9000:9000 --env-file /var/lib/gsh/minio.env -v /var/lib/gsh/minio:/data \\\n\
             \x20 minio/minio server /data || fail 'the object store does not start'\n\
             for bucket in {CONTENT_BUCKET} {REGISTRY_BUCKET}; do\n\
             \x20 n=0\n\
             \x20 until docker run --rm --network host --env-file /var/lib/gsh/minio.env minio/mc mb --ignore-existing \"gsh/$bucket\"; do\n\
             \x20   n=$((n + 1))\n\
             \x20   [ \"$n\" -lt 60 ] || fail 'the object store does not answer'\n\
             \x20   sleep 1\n\
             \x20 done\n\
             done\n"
        ));
    }
    if wanted.database.is_some() {
        // Its first start initialises the data directory; only then does it listen on TCP.
        s.push_str(
            "\nstep 'waiting for the database'\n\
             n=0\n\
             until docker exec gsh-mysql sh -c 'mysqladmin ping --protocol=tcp -u root -p\"$MYSQL_ROOT_PASSWORD\"'; do\n\
             \x20 n=$((n + 1))\n\
             \x20 [ \"$n\" -lt 120 ] || fail 'the database does not answer'\n\
             \x20 sleep 1\n\
             done\n",
        );
    }
    s
}

struct Certificates {
    ca: String,
    leaf: String,
    key: String,
}

fn certificates() -> Result<Certificates, rcgen::Error> {
    let ca_key = rcgen::KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, "gsh external stores");
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);
    let leaf_key = rcgen::KeyPair::generate()?;
    let mut leaf = CertificateParams::default();
    leaf.distinguished_name.push(DnType::CommonName, "stores");
    leaf.subject_alt_names = (2..=30).map(|n| SanType::IpAddress(Ipv4Addr::new(10, 2, 0, n).into())).collect();
    let leaf = leaf.signed_by(&leaf_key, &issuer)?;
    Ok(Certificates { ca: ca_pem, leaf: leaf.pem(), key: leaf_key.serialize_pem() })
}
