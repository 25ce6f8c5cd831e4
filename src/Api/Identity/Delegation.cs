using System.Security.Claims;
using Microsoft.AspNetCore.Http.HttpResults;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary>
/// No right makes another that may do more than itself, or that lasts when it has ended. A user lasts, and whoever gives one a role or a
/// password may do what that user may from then on.
/// </summary>
internal static class Delegation
{
    /// <summary>Why the caller gives nobody the role, nor a password to somebody who has it. Null when nothing is against it.</summary>
    public static ProblemHttpResult? Refuse(ClaimsPrincipal caller, Role role) =>
        Right.EndOf(caller) is not null ? Problems.Forbidden(
            "A token that expires does not make users, nor gives roles or passwords: those would outlast it.")
        : !Scopes.Of(role).All(caller.Has) ? Problems.Forbidden(
            $"A user with the role {role} may do more than you: you lack {string.Join(", ", Scopes.Of(role).Where(scope => !caller.Has(scope)))}.")
        : null;
}
