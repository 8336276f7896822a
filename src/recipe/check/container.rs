use std::collections::{BTreeMap, BTreeSet};

use super::{CONTAINER_LAYERS, CONTAINERS, Check, image::or};
use crate::recipe::{
    Architecture, Field, Function, Generator, Invoke, Name, OciImage, Origin, Preload, Reply,
    RootfsLayer,
    schema::{self, Body, Typed},
    walk::At,
};

/// What vSwarm's functions listen on and answer to.
const METHOD: &str = "/helloworld.Greeter/SayHello";
const NAMESPACE: &str = "default";

impl Check<'_> {
    pub(super) fn oci_image(
        &mut self,
        typed: &Typed,
        image: &schema::OciImage,
    ) -> Option<OciImage> {
        if image.origin.is_none() && !typed.broken {
            let message = "one of `reference`, `layout` and `archive` is missing";
            self.report.add(typed.spot.problem(message));
        }
        let on_request = or(&image.on_request, false);
        let origin = image.origin.as_ref().map(|origin| origin.value.clone());
        if let (Some(at), Some(Origin::Layout { .. } | Origin::Archive { .. })) =
            (&image.on_request, &origin)
        {
            self.report.add(at.spot.problem("only what a registry holds is locked"));
        }
        Some(OciImage {
            architecture: or(&image.architecture, Architecture::Amd64),
            on_request,
            entrypoint: image.entrypoint.as_ref().map(|words| words.value.clone()),
            command: image.command.as_ref().map(|command| command.value.clone()),
            env: text_values(&image.env),
            invoke: image.invoke.as_ref().and_then(|invoke| self.invoke(typed, invoke)),
            origin: origin?,
        })
    }

    pub(super) fn function(
        &mut self,
        typed: &Typed,
        function: &schema::Function,
    ) -> Option<Function> {
        for layer in &function.layers {
            let name = At { value: layer.value.recipe.clone(), spot: layer.spot.clone() };
            self.reference(typed, &name, CONTAINER_LAYERS);
        }
        if function.layers.is_empty() && !typed.broken {
            self.report.add(typed.spot.problem("`layers` is missing: what is in the image?"));
        }
        let entrypoint = self.required(typed, "entrypoint", function.entrypoint.as_ref());
        let layers = function.layers.iter().map(|layer| RootfsLayer {
            recipe: layer.value.recipe.clone(),
            from: layer.value.from.clone(),
            at: layer.value.at.clone(),
        });
        let text = |value: &Option<At<String>>| value.as_ref().map(|text| text.value.clone());
        Some(Function {
            architecture: or(&function.architecture, Architecture::Amd64),
            layers: layers.collect(),
            entrypoint: entrypoint?,
            command: function.command.as_ref().map(|it| it.value.clone()).unwrap_or_default(),
            user: text(&function.user).unwrap_or_default(),
            workdir: text(&function.workdir).unwrap_or_else(|| "/".to_owned()),
            env: text_values(&function.env),
            ports: function.ports.iter().map(|port| port.value).collect(),
            labels: text_values(&function.labels),
            errata: function.errata.iter().map(|erratum| erratum.value).collect(),
            invoke: function.invoke.as_ref().and_then(|invoke| self.invoke(typed, invoke)),
        })
    }

    fn invoke(&mut self, typed: &Typed, invoke: &schema::Invoke) -> Option<Invoke> {
        for need in &invoke.needs {
            self.reference(typed, need, CONTAINERS);
        }
        let Some(port) = &invoke.port else {
            let spot = invoke.place.as_ref().map_or(&typed.spot, |place| &place.spot);
            if !typed.broken {
                self.report.add(spot.problem("`port` is missing: where does it listen?"));
            }
            return None;
        };
        let (lower, upper) = (or(&invoke.lower, 1), or(&invoke.upper, u32::MAX));
        if let Some(at) = invoke.upper.as_ref().or(invoke.lower.as_ref()).filter(|_| lower > upper)
        {
            self.report.add(at.spot.problem("`lower` is greater than `upper`"));
        }
        let method = invoke.method.as_ref().map(|method| method.value.clone());
        let reply = Reply { field: 1, check: "any".to_owned() };
        let request = invoke.request.as_ref().map_or_else(
            || vec![Field { number: 1, kind: "string", value: "{input}".to_owned() }],
            |fields| fields.iter().map(|field| field.value.clone()).collect(),
        );
        Some(Invoke {
            port: port.value,
            method: method.unwrap_or_else(|| Some(METHOD.to_owned())),
            request,
            reply: invoke.reply.as_ref().map_or(reply, |reply| reply.value.clone()),
            generator: or(&invoke.generator, Generator::Unique),
            lower,
            upper,
            input: invoke.input.as_ref().map(|input| input.value.clone()),
            needs: invoke.needs.iter().map(|need| need.value.clone()).collect(),
        })
    }

    pub(super) fn preload(&mut self, typed: &Typed, preload: &schema::Preload) -> Option<Preload> {
        if preload.functions.is_empty() && !typed.broken {
            self.report.add(typed.spot.problem("`functions` is missing: which images?"));
        }
        let mut functions = BTreeSet::new();
        for function in &preload.functions {
            self.reference(typed, function, CONTAINERS);
            self.with_needs(&function.value, &mut functions);
        }
        let namespace = preload.namespace.as_ref();
        Some(Preload {
            functions,
            namespace: namespace.map_or(NAMESPACE, |at| at.value.as_str()).to_owned(),
            blobs: or(&preload.blobs, true),
        })
    }

    /// `name` and all that must run beside it.
    fn with_needs(&self, name: &Name, found: &mut BTreeSet<Name>) {
        if !found.insert(name.clone()) {
            return;
        }
        let invoke = match self.typed.get(name).map(|typed| &typed.body) {
            Some(Body::OciImage(image)) => image.invoke.as_ref(),
            Some(Body::Function(function)) => function.invoke.as_ref(),
            Some(
                Body::Packages(_)
                | Body::Build(_)
                | Body::Kernel(_)
                | Body::Rootfs(_)
                | Body::Image(_)
                | Body::Preload(_),
            )
            | None => None,
        };
        for need in invoke.into_iter().flat_map(|invoke| &invoke.needs) {
            self.with_needs(&need.value, found);
        }
    }
}

fn text_values(values: &BTreeMap<String, At<String>>) -> BTreeMap<String, String> {
    values.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect()
}
