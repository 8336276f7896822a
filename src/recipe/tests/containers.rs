use super::*;

const FIBONACCI: (&str, &str) = (
    "recipes/fibonacci.toml",
    "kind = 'function'
layers = ['base', { from = 'guest', path = '/app', at = '/srv' }]
entrypoint = ['/srv/app']
user = '1000:1000'
ports = [50000]
env = { A = 'b' }
[invoke]
port = 50000
reply = { check = 'fibonacci' }
generator = 'linear'
upper = 30
needs = ['redis']
",
);
const REDIS: (&str, &str) = (
    "recipes/redis.toml",
    "kind = 'oci-image'
reference = 'redis'
on-request = true
command = ['redis-server', '--save']
[invoke]
port = 6379
method = false
",
);
const PRELOAD: (&str, &str) =
    ("recipes/preload.toml", "kind = 'preload'\nfunctions = ['fibonacci']\nblobs = false\n");

fn kind(recipe: &str) -> Kind {
    recipes(&[FIBONACCI, REDIS, PRELOAD]).get(&name(recipe)).expect(recipe).kind.clone()
}

#[test]
fn a_function_says_what_is_in_it_and_how_it_is_called() {
    let Kind::Function(function) = kind("fibonacci") else { panic!("not a function") };
    let places: Vec<String> = function.layers.iter().map(|layer| layer.at.to_string()).collect();
    assert_eq!(places, ["/", "/srv"]);
    assert_eq!((function.user.as_str(), function.workdir.as_str()), ("1000:1000", "/"));
    let invoke = function.invoke.expect("it can be called");
    assert_eq!(invoke.method.as_deref(), Some("/helloworld.Greeter/SayHello"));
    let field = Field { number: 1, kind: "string", value: "{input}".to_owned() };
    assert_eq!(invoke.request, [field]);
    assert_eq!(invoke.reply, Reply { field: 1, check: "fibonacci".to_owned() });
    assert_eq!((invoke.generator, invoke.lower, invoke.upper), (Generator::Linear, 1, 30));
}

#[test]
fn an_image_has_its_name_in_full() {
    let Kind::OciImage(image) = kind("redis") else { panic!("not an image") };
    let Origin::Registry(reference) = &image.origin else { panic!("not of a registry") };
    assert_eq!(reference.to_string(), "docker.io/library/redis:latest");
    assert!(image.on_request);
    assert_eq!(image.invoke.and_then(|invoke| invoke.method), None);
}

#[test]
fn what_a_function_needs_is_preloaded_with_it() {
    let Kind::Preload(preload) = kind("preload") else { panic!("not a preload") };
    let names: Vec<&str> = preload.functions.iter().map(Name::as_str).collect();
    assert_eq!(names, ["fibonacci", "redis"]);
    assert_eq!((preload.namespace.as_str(), preload.blobs), ("default", false));
}

#[test]
fn an_image_has_the_functions_that_can_be_called() {
    let root = ("recipes/root.toml", "kind = 'rootfs'\nlayers = ['preload']\n");
    let image = (
        "recipes/all.toml",
        "kind = 'image'\nkernel = 'linux'\nrootfs = 'root'\ncmdline = 'quiet'\n",
    );
    let recipes = recipes(&[FIBONACCI, REDIS, PRELOAD, root, image]);
    let functions = recipes.functions(&name("all"));
    assert_eq!(functions.into_iter().map(Name::as_str).collect::<Vec<_>>(), ["fibonacci"]);
}

#[test]
fn a_function_inherits_all_but_its_own_words() {
    let heir = (
        "recipes/twice.toml",
        "kind = 'function'\nextends = 'fibonacci'\nentrypoint = ['/other']\n[invoke]\nupper = 9\n",
    );
    let recipes = recipes(&[FIBONACCI, REDIS, heir]);
    let Kind::Function(function) = &recipes.get(&name("twice")).expect("twice").kind else {
        panic!("not a function")
    };
    assert_eq!(
        (function.entrypoint.as_slice(), function.layers.len()),
        (&["/other".to_owned()][..], 2)
    );
    let invoke = function.invoke.as_ref().expect("it can be called");
    assert_eq!((invoke.port, invoke.upper), (50000, 9));
}

#[test]
fn mistakes_about_containers_are_found_where_they_stand() {
    let problem = |text: &str| {
        let found = problems(&[FIBONACCI, REDIS, ("recipes/x.toml", text)]);
        found.join("\n")
    };
    for (text, told) in [
        ("kind = 'oci-image'\n", "one of `reference`, `layout` and `archive` is missing"),
        ("kind = 'oci-image'\nreference = 'a b'\n", "`a b` does not name an image"),
        ("kind = 'oci-image'\nreference = 'a'\nlayout = 'b'\n", "only one of"),
        ("kind = 'oci-image'\nlayout = 'b'\non-request = true\n", "only what a registry holds"),
        ("kind = 'function'\nentrypoint = ['/x']\n", "`layers` is missing"),
        ("kind = 'function'\nlayers = ['base']\n", "`entrypoint` is missing"),
        ("kind = 'function'\nlayers = ['redis']\nentrypoint = ['x']\n", "is of kind oci-image"),
        (
            "kind = 'function'\nlayers = ['base']\nentrypoint = ['x']\ninvoke = {}\n",
            "`port` is missing",
        ),
        (
            "kind = 'function'\nlayers = ['base']\nentrypoint = ['x']\n[invoke]\nport = 1\nmethod = 'x'\n",
            "`x` is not a gRPC method",
        ),
        (
            "kind = 'function'\nlayers = ['base']\nentrypoint = ['x']\n[invoke]\nport = 1\nneeds = ['x']\n",
            "in a circle: x -> x",
        ),
        (
            "kind = 'function'\nlayers = ['base']\nentrypoint = ['x']\n[invoke]\nport = 1\nreply = { check = 'eas' }\n",
            "did you mean `aes`?",
        ),
        ("kind = 'preload'\n", "`functions` is missing"),
        ("kind = 'preload'\nfunctions = ['base']\n", "is of kind rootfs"),
        ("kind = 'preload'\nfunctions = ['redis']\nnamespace = '-'\n", "not a namespace"),
    ] {
        let found = problem(text);
        assert!(found.contains(told), "{text}\n{found}");
    }
}

#[test]
fn each_type_of_a_request_is_written_as_itself_or_as_the_input() {
    let invoke = |request: &str| {
        let text = format!(
            "kind = 'oci-image'\nreference = 'x'\n[invoke]\nport = 1\nrequest = [{request}]\n"
        );
        problems(&[("recipes/x.toml", &text)]).join("\n")
    };
    for good in [
        "{ field = 1, string = 'a {input} b' }",
        "{ field = 2, int = 5 }, { field = 3, int = '{input}' }",
        "{ field = 1, double = 37.7867 }, { field = 2, bool = true }",
    ] {
        assert_eq!(invoke(good), "");
    }
    for bad in [
        "{ field = 0, string = 'x' }",
        "{ string = 'x' }",
        "{ field = 1 }",
        "{ field = 1, int = 'x' }",
    ] {
        assert_ne!(invoke(bad), "", "{bad}");
    }
}
