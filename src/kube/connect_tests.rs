use tokio::net::TcpListener;

use super::*;

const DEFAULT: &str = "/home/u/.kube/config";
const RUNTIME: &str = "/state/kubeconfig";

/// With both kubeconfigs where `there` says, in or out of a cluster, for a command that reads or changes.
fn chosen(change: impl Fn(&mut ConnectOptions, &mut Environment), there: &[&str]) -> String {
    let mut options =
        ConnectOptions { runtime_kubeconfig: Some(RUNTIME.into()), changes: true, ..ConnectOptions::default() };
    let mut environment = Environment { home: Some("/home/u".into()), ..Environment::default() };
    change(&mut options, &mut environment);
    let exists = |path: &Path| there.iter().any(|known| Path::new(known) == path);
    match Target::choose(&options, &environment, exists) {
        Ok(Target::InCluster) => "in cluster".to_owned(),
        Ok(Target::Kubeconfig(paths)) => {
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",")
        }
        Ok(Target::Runtime(_)) => "runtime".to_owned(),
        Err(Error::Ambiguous { .. }) => "ambiguous".to_owned(),
        Err(Error::NoRuntime { .. }) => "no runtime".to_owned(),
        Err(_) => "none".to_owned(),
    }
}

#[test]
fn what_was_named_goes_first_and_a_change_is_never_a_guess() {
    assert_eq!(chosen(|_, _| (), &[]), "none");
    assert_eq!(chosen(|_, _| (), &[RUNTIME]), "runtime");
    assert_eq!(chosen(|_, _| (), &[DEFAULT]), DEFAULT);
    assert_eq!(chosen(|_, _| (), &[DEFAULT, RUNTIME]), "ambiguous");
    assert_eq!(chosen(|options, _| options.changes = false, &[DEFAULT, RUNTIME]), DEFAULT);
    assert_eq!(chosen(|options, _| options.context = Some("prod".into()), &[DEFAULT, RUNTIME]), DEFAULT);
    assert_eq!(chosen(|options, _| options.runtime = true, &[DEFAULT, RUNTIME]), "runtime");
    assert_eq!(chosen(|options, _| options.runtime = true, &[DEFAULT]), "no runtime");
    assert_eq!(chosen(|options, _| options.kubeconfig = Some("/k".into()), &[DEFAULT, RUNTIME]), "/k");
    assert_eq!(
        chosen(|_, environment| environment.kubeconfig = vec!["/a".into(), "/b".into()], &[DEFAULT, RUNTIME]),
        "/a,/b"
    );
    assert_eq!(chosen(|_, environment| environment.in_cluster = true, &[DEFAULT, RUNTIME]), "in cluster");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts: [{{name: here, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
    );
    std::fs::write(&path, text).unwrap();
    let options = ConnectOptions { kubeconfig: Some(path), ..ConnectOptions::default() };
    let started = std::time::Instant::now();
    let error = connect(&options, &Environment::default()).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(error.to_string().starts_with(&format!("{server} cannot be reached: Connection refused")), "{error}");
}

#[tokio::test]
async fn a_kubeconfig_that_is_not_there_or_names_no_such_context_is_named() {
    let options = ConnectOptions { kubeconfig: Some("/nowhere/config".into()), ..ConnectOptions::default() };
    let error = connect(&options, &Environment::default()).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/config"), "{error}");
}
