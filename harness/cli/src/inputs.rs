//! What a run is made from, by digest, found before anything is created.

use std::path::{Path, PathBuf};

use gsh_gitpod::install::GitpodInstaller;
use gsh_model::axis::Template;
use gsh_model::input::{Digest, Input, InputKind};
use gsh_model::plan::Plan;

use crate::args;
use crate::error::CliError;
use crate::seal::sha256;

/// The inputs of a run.
pub(crate) fn of(args: &args::Run, plan: &Plan, installer: &GitpodInstaller) -> Result<Vec<Input>, CliError> {
    let mut inputs = Vec::new();
    if let Some(commit) = &args.subject_commit {
        inputs.push(Input {
            kind: InputKind::Commit,
            name: "distribution".to_owned(),
            digest: Some(Digest::GitCommit(commit.hex().to_owned())),
        });
    }
    inputs.push(Input {
        kind: InputKind::Matrix,
        name: args.selected.matrix.display().to_string(),
        digest: Some(Digest::Sha256(plan.matrix_sha256.clone())),
    });
    if let Some(folder) = &args.community
        && plan.cells.iter().any(|c| c.cell.template == Template::Community)
    {
        inputs.push(template(folder)?);
    }
    match &args.installer {
        Some(program) => {
            let bytes = std::fs::read(program).map_err(|e| CliError::unreadable(program, &e))?;
            inputs.push(Input {
                kind: InputKind::Installer,
                name: file_name(program),
                digest: Some(Digest::Sha256(sha256(&bytes))),
            });
        }
        None => {
            let mut images: Vec<String> = plan.cells.iter().map(|c| installer.image(&c.cell)).collect();
            images.sort();
            images.dedup();
            inputs.extend(images.into_iter().map(image));
        }
    }
    inputs.extend(crate::given::inputs(&args.selected.matrix, plan)?);
    Ok(inputs)
}

/// An image; its digest is known only where the reference names it.
fn image(reference: String) -> Input {
    let digest = reference.split_once('@').and_then(|(_, digest)| digest.parse().ok());
    Input { kind: InputKind::Installer, name: reference, digest }
}

/// A folder of machine templates. The digest is that of a listing as `sha256sum` makes it, so that anybody can repeat it:
/// `find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum | sha256sum`.
pub(crate) fn template(folder: &Path) -> Result<Input, CliError> {
    let mut files = Vec::new();
    walk(folder, &mut files).map_err(|e| CliError::unreadable(folder, &e))?;
    let mut named = Vec::new();
    for file in files {
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().into_owned();
        let bytes = std::fs::read(&file).map_err(|e| CliError::unreadable(&file, &e))?;
        named.push((name, sha256(&bytes)));
    }
    named.sort();
    let listing: String = named.iter().map(|(name, sha256)| format!("{sha256}  {name}\n")).collect();
    Ok(Input {
        kind: InputKind::Template,
        name: file_name(folder),
        digest: Some(Digest::Sha256(sha256(listing.as_bytes()))),
    })
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_bound_by_names_and_contents_and_by_nothing_else() {
        let make = |files: &[(&str, &str)]| {
            let folder = tempfile::tempdir().expect("a folder");
            for (name, text) in files {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
                std::fs::write(path, text).expect("a file");
            }
            template(folder.path()).expect("a digest").digest
        };
        let one = make(&[("a", "1"), ("sub/b", "2")]);
        assert_eq!(one, make(&[("sub/b", "2"), ("a", "1")]));
        assert_ne!(one, make(&[("a", "1"), ("sub/b", "3")]));
        assert_ne!(one, make(&[("a", "1"), ("sub/c", "2")]));
        assert_ne!(one, make(&[("a", "1"), ("sub/b", "2"), ("c", "")]));
    }

    #[test]
    fn an_image_has_the_digest_that_its_reference_names() {
        assert_eq!(image("r/installer:release-2022.11.3".to_owned()).digest, None);
        let digest = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(image(format!("r/installer@{digest}")).digest, Some(digest.parse().expect("a digest")));
    }
}
