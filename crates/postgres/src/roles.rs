//! Checks whether a connection's role is one that its pool may use. Row-level security doesn't apply to a superuser, a
//! role with BYPASSRLS or the tables' owner, and lets the system's role see everything: if the address of the users'
//! pool named one of these, every customer would silently see all customers' rows.
//!
//! Each new connection is checked, because addresses and roles can change while a service runs.

use tokio_postgres::Client;

use crate::error::{Error, ErrorKind};

/// The pool for customers' calls.
pub(crate) const USER: &str = "user";
/// The pool for everything else.
pub(crate) const SYSTEM: &str = "system";

/// Reads the role, its privileges, and the roles that it may assume. A role counts as the system's if a table has row
/// policies for other roles but is fully visible to this one.
const SQL: &str = "
    SELECT current_user::text,
        EXISTS (SELECT FROM pg_roles WHERE rolsuper AND pg_has_role(current_user, oid, 'MEMBER')),
        EXISTS (SELECT FROM pg_roles WHERE rolbypassrls AND pg_has_role(current_user, oid, 'MEMBER')),
        EXISTS (SELECT FROM pg_class WHERE relrowsecurity AND pg_has_role(current_user, relowner, 'MEMBER')),
        EXISTS (SELECT FROM pg_policy own WHERE polpermissive AND polcmd IN ('r', '*')
            AND pg_get_expr(polqual, polrelid) = 'true'
            AND EXISTS (SELECT FROM unnest(polroles) role WHERE role <> 0 AND pg_has_role(current_user, role, 'MEMBER'))
            AND EXISTS (SELECT FROM pg_policy other WHERE other.polrelid = own.polrelid
                AND pg_get_expr(other.polqual, other.polrelid) <> 'true'))";

/// Refuses a role that the pool must not use. Pools with other names accept any role.
pub(crate) async fn check(pool: &str, client: &Client) -> Result<(), Error> {
    if pool != USER && pool != SYSTEM {
        return Ok(());
    }
    let row = client.query_typed(SQL, &[]).await?;
    let Some(row) = row.first() else { return Ok(()) };
    let role: String = row.try_get(0)?;
    let all = [
        "is a superuser, or may act as one",
        "has BYPASSRLS, or may act as a role that has",
        "owns tables with row-level security, or may act as their owner",
        "is the system's role, or may act as it",
    ];
    // The only restriction on the system's role is that it isn't a superuser: it may see all rows, but must not change
    // privileges.
    let asked = if pool == USER { &all[..] } else { &all[..1] };
    for (number, what) in asked.iter().enumerate() {
        if row.try_get(number + 1)? {
            let why = if pool == USER {
                "row-level security would not apply to customers' calls"
            } else {
                "no limit would apply to it"
            };
            let message = format!("postgres.{pool}_url names the role {role}, which {what}: {why}");
            return Err(Error::new(ErrorKind::Other, message).of_unfit_role());
        }
    }
    Ok(())
}
