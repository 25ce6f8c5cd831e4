using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary><c>/users</c>: the people who may sign in.</summary>
public static class UserEndpoints
{
    public static void MapUsers(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/users").WithTags("Users").RequireScope(Scopes.Admin);
        group.MapGet("/", ListAsync).WithSummary("List users");
        group.MapGet("/{id:guid}", GetAsync).WithSummary("Read a user");
        group.MapPost("/", CreateAsync).Idempotent().WithSummary("Add a user");
        group.MapPatch("/{id:guid}", PatchAsync).WithSummary("Change role, password or disabled");
        group.MapDelete("/{id:guid}", DeleteAsync).WithSummary("Remove a user and every token of theirs");
    }

    private static async Task<Ok<Page<UserView>>> ListAsync(WebVmDbContext database, CancellationToken cancellation) =>
        TypedResults.Ok(new Page<UserView>([.. (await database.Users.AsNoTracking().OrderBy(u => u.Name).ToListAsync(cancellation)).Select(UserView.From)], null));

    private static async Task<Results<Ok<UserView>, ProblemHttpResult>> GetAsync(Guid id, HttpResponse response, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Users.AsNoTracking().SingleOrDefaultAsync(u => u.Id == id, cancellation) is not { } user)
        {
            return Problems.NotFound("user", id);
        }

        response.SetETag(user.Revision);
        return TypedResults.Ok(UserView.From(user));
    }

    private static async Task<Results<Created<UserView>, ProblemHttpResult>> CreateAsync(CreateUser request, HttpResponse response, WebVmDbContext database, CancellationToken cancellation)
    {
        var faults = Names.Check("/name", request.Name).Concat(Passwords.Check("/password", request.Password)).ToList();
        if (faults.Count > 0)
        {
            return Problems.Invalid(faults);
        }

        var user = new User { Name = request.Name, Role = request.Role, PasswordHash = Secrets.HashPassword(request.Password) };
        database.Users.Add(user);
        try
        {
            await database.SaveChangesAsync(cancellation);
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return Problems.NameTaken("user", request.Name);
        }

        response.SetETag(user.Revision);
        return TypedResults.Created($"/api/v1/users/{user.Id}", UserView.From(user));
    }

    private static async Task<Results<Ok<UserView>, ProblemHttpResult>> PatchAsync(Guid id, ChangeUser change, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Users.SingleOrDefaultAsync(u => u.Id == id, cancellation) is not { } user)
        {
            return Problems.NotFound("user", id);
        }

        if (context.Request.CheckIfMatch(user.Revision) is { } stale)
        {
            return stale;
        }

        var faults = change.Password is null ? [] : Passwords.Check("/password", change.Password).ToList();
        if (faults.Count > 0)
        {
            return Problems.Invalid(faults);
        }

        bool losesAdmin = user is { Role: Role.Admin, Disabled: false } && ((change.Role ?? Role.Admin) != Role.Admin || change.Disabled == true);
        if (losesAdmin && !await database.Users.AnyAsync(u => u.Id != id && u.Role == Role.Admin && !u.Disabled, cancellation))
        {
            return Problems.Conflict("This is the last administrator.");
        }

        user.Role = change.Role ?? user.Role;
        user.Disabled = change.Disabled ?? user.Disabled;
        user.PasswordHash = change.Password is null ? user.PasswordHash : Secrets.HashPassword(change.Password);
        user.SecurityStamp = Guid.NewGuid().ToString("N");
        user.Revision++;
        try
        {
            await database.SaveChangesAsync(cancellation);
        }
        catch (DbUpdateConcurrencyException)
        {
            return Problems.PreconditionFailed("another");
        }

        context.Response.SetETag(user.Revision);
        return TypedResults.Ok(UserView.From(user));
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> DeleteAsync(Guid id, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Users.SingleOrDefaultAsync(u => u.Id == id, cancellation) is not { } user)
        {
            return Problems.NotFound("user", id);
        }

        if (context.Request.CheckIfMatch(user.Revision) is { } stale)
        {
            return stale;
        }

        if (user.Role == Role.Admin && !await database.Users.AnyAsync(u => u.Id != id && u.Role == Role.Admin && !u.Disabled, cancellation))
        {
            return Problems.Conflict("This is the last administrator.");
        }

        database.Users.Remove(user);
        await database.SaveChangesAsync(cancellation);
        return TypedResults.NoContent();
    }
}

/// <summary>A user as clients see one.</summary>
public sealed record UserView(Guid Id, string Name, Role Role, bool HasPassword, bool Disabled, DateTimeOffset CreatedAt)
{
    public static UserView From(User user) => new(user.Id, user.Name, user.Role, user.PasswordHash is not null, user.Disabled, user.CreatedAt);
}

public sealed record CreateUser(string Name, Role Role, string Password);

public sealed record ChangeUser(Role? Role = null, string? Password = null, bool? Disabled = null);
