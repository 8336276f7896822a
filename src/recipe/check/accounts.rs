use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::recipe::{
    Group, Name, Owner, User,
    schema::{self, Body, OwnerText, Typed, Who},
    value::Wrong,
    walk::{At, Spot},
};

/// Users and groups by name, root apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    pub(super) users: BTreeMap<String, User>,
    pub(super) groups: BTreeMap<String, Group>,
}

impl Accounts {
    fn group(&self, who: &Who) -> Result<u32, Wrong> {
        match who {
            Who::Number(gid) => Ok(*gid),
            Who::Name(name) => match self.groups.get(name) {
                Some(group) => Ok(group.gid),
                None => Err(undeclared("group", name, self.groups.keys())),
            },
        }
    }

    /// The numbers of an owner. Without a group, a user by name has its primary group, one by number the same number.
    pub(super) fn owner(&self, owner: &OwnerText) -> Result<Owner, Wrong> {
        let (uid, primary) = match &owner.user {
            Who::Number(uid) => (*uid, *uid),
            Who::Name(name) => match self.users.get(name) {
                Some(user) => (user.uid, user.gid),
                None => return Err(undeclared("user", name, self.users.keys())),
            },
        };
        let gid = owner.group.as_ref().map_or(Ok(primary), |group| self.group(group))?;
        Ok(Owner { uid, gid })
    }
}

fn undeclared<'n>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'n String> + Clone,
) -> Wrong {
    let wrong = Wrong::unknown(what, name, known.map(String::as_str));
    let declare = format!("declare it in `[{what}s]`, or write a number");
    match wrong.hint.clone() {
        Some(hint) if hint.starts_with("did you mean") => wrong,
        _ => wrong.with_hint(declare),
    }
}

impl Check<'_> {
    /// The users and groups of a root file system and of those it lies over.
    pub(super) fn accounts_of(&mut self, typed: &Typed, rootfs: &schema::Rootfs) -> Accounts {
        if let Some(known) = self.accounts.get(&typed.name) {
            return known.clone();
        }
        // In a circle of layers this is what the others see; the circle is reported elsewhere.
        self.accounts.insert(typed.name.clone(), Accounts::default());
        let mut accounts = Accounts::default();
        for layer in &rootfs.layers {
            let below = layer.value.from.is_root() && layer.value.at.is_root();
            if let Some(base) = self.typed.get(&layer.value.recipe).filter(|_| below).cloned()
                && let Body::Rootfs(base_rootfs) = &base.body
            {
                let inherited = self.accounts_of(&base, base_rootfs);
                self.take_over(&mut accounts, inherited, &layer.spot, &base.name);
            }
        }
        for (name, gid) in &rootfs.groups {
            match accounts.groups.get(name) {
                Some(known) if known.gid != gid.value => {
                    let message = format!("group `{name}` has number {} in a layer", known.gid);
                    self.report.add(gid.spot.problem(message));
                }
                Some(_) => (),
                None => {
                    let group = Group { gid: gid.value, members: BTreeSet::new() };
                    accounts.groups.insert(name.clone(), group);
                }
            }
        }
        for (name, account) in &rootfs.users {
            self.user(typed, name, account, &mut accounts);
        }
        for (name, account) in &rootfs.users {
            self.memberships(name, account, &mut accounts);
        }
        self.accounts.insert(typed.name.clone(), accounts.clone());
        accounts
    }

    fn take_over(&self, accounts: &mut Accounts, inherited: Accounts, spot: &Spot, layer: &Name) {
        let differ = |what: &str, name: &str| {
            let message =
                format!("{what} `{name}` of `{layer}` has another number in a layer below");
            self.report.add(spot.problem(message));
        };
        for (name, group) in inherited.groups {
            match accounts.groups.get_mut(&name) {
                Some(known) if known.gid != group.gid => differ("group", &name),
                Some(known) => known.members.extend(group.members),
                None => {
                    accounts.groups.insert(name, group);
                }
            }
        }
        for (name, user) in inherited.users {
            match accounts.users.get(&name) {
                Some(known) if known.uid != user.uid || known.gid != user.gid => {
                    differ("user", &name);
                }
                Some(_) | None => {
                    accounts.users.insert(name, user);
                }
            }
        }
    }

    fn user(&self, typed: &Typed, name: &str, account: &schema::Account, accounts: &mut Accounts) {
        let place = account.place.as_ref().map_or(&typed.spot, |place| &place.spot);
        let Some(uid) = &account.uid else {
            if !typed.broken {
                self.report.add(place.problem(format!("user `{name}` needs a `uid`")));
            }
            return;
        };
        let same = accounts.users.iter().find(|(_, user)| user.uid == uid.value);
        match same.map(|(other, _)| other).filter(|other| *other != name) {
            Some(other) => {
                let message = format!("user `{other}` has number {} already", uid.value);
                self.report.add(uid.spot.problem(message));
            }
            None if uid.value == 0 => {
                self.report.add(uid.spot.problem("number 0 is root's"));
            }
            None => (),
        }
        let gid = match &account.group {
            Some(At { value, spot }) => match accounts.group(value) {
                Ok(gid) => gid,
                Err(wrong) => return self.report.add(spot.problem(wrong)),
            },
            None => {
                let own = Group { gid: uid.value, members: BTreeSet::new() };
                accounts.groups.entry(name.to_owned()).or_insert(own).gid
            }
        };
        let text = |value: &Option<At<String>>, default: &str| {
            value.as_ref().map_or_else(|| default.to_owned(), |value| value.value.clone())
        };
        let user = User {
            uid: uid.value,
            gid,
            comment: text(&account.comment, ""),
            home: text(&account.home, "/"),
            shell: text(&account.shell, "/usr/sbin/nologin"),
        };
        if let Some(known) = accounts.users.insert(name.to_owned(), user)
            && known.uid != uid.value
        {
            let message = format!("user `{name}` has number {} in a layer", known.uid);
            self.report.add(uid.spot.problem(message));
        }
    }

    fn memberships(&self, name: &str, account: &schema::Account, accounts: &mut Accounts) {
        for group in &account.groups {
            match accounts.groups.get_mut(&group.value) {
                Some(known) => {
                    known.members.insert(name.to_owned());
                }
                None => {
                    let wrong = undeclared("group", &group.value, accounts.groups.keys());
                    self.report.add(group.spot.problem(wrong));
                }
            }
        }
    }
}
