using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
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
    private static readonly ListOrders<User> s_orders = new(
        all: true,
        ListOrder<User>.ByName("name", user => user.Name),
        ListOrder<User>.ByName("-name", user => user.Name, descending: true),
        ListOrder<User>.ById("createdAt", user => user.Id),
        ListOrder<User>.ById("-createdAt", user => user.Id, descending: true));

    public static void MapUsers(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/users").WithTags("Users").RequireScope(Scopes.Admin);
        group.MapGet("/", ListAsync).Sorts(s_orders).WithSummary("List users");
        group.MapGet("/{id:guid}", GetAsync).WithSummary("Read a user");
        group.MapPost("/", CreateAsync).Idempotent().WithSummary("Add a user");
        group.MapPatch("/{id:guid}", PatchAsync).Conditional().WithSummary("Change role, password or disabled")
            .WithDescription(
                "What cannot be set is passed over, so that an answer may be sent back; what changes nothing leaves the user signed in.");
        group.MapDelete("/{id:guid}", DeleteAsync).Conditional().WithSummary("Remove a user and every token of theirs");
    }

    private static async Task<Results<Ok<Page<UserView>>, ProblemHttpResult>> ListAsync(
        WebVmDbContext database,
        [Range(1, PageRequest.LargestLimit), Description(PageRequest.LimitOfAllMeaning)] int? limit,
        [Description(PageRequest.CursorMeaning)] string? cursor,
        string? sort,
        [Description("Exactly this name.")] string? name,
        CancellationToken cancellation)
    {
        var (page, refusal) = await s_orders.ReadAsync(
            database.Users.AsNoTracking().Where(u => name == null || u.Name == name), new PageRequest(limit, cursor, sort), cancellation);
        return page is null ? refusal! : TypedResults.Ok(page.Select(UserView.From));
    }

    private static async Task<Results<Ok<UserView>, ProblemHttpResult>> GetAsync(
        Guid id, HttpResponse response, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Users.AsNoTracking().SingleOrDefaultAsync(u => u.Id == id, cancellation) is not { } user)
        {
            return Problems.NotFound("user", id);
        }

        response.SetETag(user.Revision);
        return TypedResults.Ok(UserView.From(user));
    }

    private static async Task<Results<Created<UserView>, ProblemHttpResult>> CreateAsync(
        Body<CreateUser> body, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        var request = body.Value;
        if (Delegation.Refuse(context.User, request.Role) is { } more)
        {
            return more;
        }

        var user = new User { Name = request.Name, Role = request.Role, PasswordHash = Secrets.HashPassword(request.Password) };
        database.Users.Add(user);
        try
        {
            await database.SaveChangesAsync(cancellation);
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            return Problems.NameTaken(
                "user", request.Name, "/api/v1/users", await database.Users.AsNoTracking().Where(u => u.Name == request.Name)
                    .Select(u => (Guid?)u.Id).FirstOrDefaultAsync(cancellation));
        }

        context.Response.SetETag(user.Revision);
        return TypedResults.Created($"/api/v1/users/{user.Id}", UserView.From(user));
    }

    private static async Task<Results<Ok<UserView>, ProblemHttpResult>> PatchAsync(
        Guid id, Body<ChangeUser> body, HttpContext context, WebVmDbContext database, LiveRights live, CancellationToken cancellation)
    {
        var change = body.Value;
        // It takes its time, in which nobody is to wait for the administrators.
        string? hash = change.Password is null ? null : Secrets.HashPassword(change.Password);
        using var taken = live.Changing(context);
        var (user, refusal) = await database.InTransactionAsync(
            () => ChangeAsync(id, change, hash, context, database, cancellation), cancellation);
        if (user is null)
        {
            return refusal!;
        }

        context.Response.SetETag(user.Revision);
        return TypedResults.Ok(UserView.From(user));
    }

    private static async Task<(User? User, ProblemHttpResult? Refusal)> ChangeAsync(
        Guid id, ChangeUser change, string? hash, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        var (user, refusal) = await FindAsync(
            id, (change.Role ?? Role.Admin) != Role.Admin || change.Disabled == true, context.Request, database, cancellation);
        if (user is null)
        {
            return (null, refusal);
        }

        var role = change.Role ?? user.Role;
        if (role == user.Role && (change.Disabled ?? user.Disabled) == user.Disabled && hash is null)
        {
            return (user, null);
        }

        bool widens = hash is not null || (user.Disabled && change.Disabled == false) || Scopes.Of(role).Except(Scopes.Of(user.Role)).Any();
        if (widens && Delegation.Refuse(context.User, role) is { } more)
        {
            return (null, more);
        }

        if (hash is not null || role != user.Role || change.Disabled == true)
        {
            // Who sets their own password goes on; whoever else was signed in as them does not.
            var own = hash is not null && role == user.Role && Right.KeyOf(context.User) is { Kind: RightKind.Session } key
                ? key.Id
                : Guid.Empty;
            await database.Sessions.Where(s => s.UserId == id && s.Id != own).ExecuteDeleteAsync(cancellation);
        }

        user.Role = role;
        user.Disabled = change.Disabled ?? user.Disabled;
        user.PasswordHash = hash ?? user.PasswordHash;
        user.Revision++;
        return (user, null);
    }

    private static async Task<Results<NoContent, ProblemHttpResult>> DeleteAsync(
        Guid id, HttpContext context, WebVmDbContext database, LiveRights live, CancellationToken cancellation)
    {
        using var taken = live.Changing(context);
        var refusal = await database.InTransactionAsync(
            async () =>
            {
                var (user, refusal) = await FindAsync(id, true, context.Request, database, cancellation);
                if (user is not null)
                {
                    database.Users.Remove(user);
                }

                return refusal;
            },
            cancellation);
        return refusal is null ? TypedResults.NoContent() : refusal;
    }

    /// <summary>
    /// Reads a user for a change, unless that would leave no administrator. Until the transaction's end nobody else takes away one: of two
    /// who do so to each other at once, one stays.
    /// </summary>
    /// <param name="losesAdmin">Whether the change would make an administrator something else.</param>
    private static async Task<(User? User, ProblemHttpResult? Refusal)> FindAsync(
        Guid id, bool losesAdmin, HttpRequest request, WebVmDbContext database, CancellationToken cancellation)
    {
        string admin = Role.Admin.ToString();
        await database.Database.ExecuteSqlAsync($"SELECT 1 FROM users WHERE role = {admin} ORDER BY id FOR UPDATE", cancellation);
        if (await database.Users.SingleOrDefaultAsync(u => u.Id == id, cancellation) is not { } user)
        {
            return (null, Problems.NotFound("user", id));
        }

        if (request.CheckIfMatch(user.Revision) is { } stale)
        {
            return (null, stale);
        }

        bool last = user is { Role: Role.Admin, Disabled: false } && losesAdmin
            && !await database.Users.AnyAsync(u => u.Id != id && u.Role == Role.Admin && !u.Disabled, cancellation);
        return last ? (null, Problems.Conflict("This is the last administrator.")) : (user, null);
    }
}

/// <summary>A user as clients see one.</summary>
public sealed record UserView(Guid Id, string Name, Role Role, bool HasPassword, bool Disabled, DateTimeOffset CreatedAt)
{
    public static UserView From(User user) =>
        new(user.Id, user.Name, user.Role, user.PasswordHash is not null, user.Disabled, user.CreatedAt);
}

public sealed record CreateUser(string Name, Role Role, string Password) : ICheckedBody
{
    ValueTask ICheckedBody.CheckAsync(BodyCheck check)
    {
        check.Add(Names.Check("/name", Name).Concat(Passwords.Check("/password", Password)));
        if (Name is Principals.PresetToken or Principals.Nobody)
        {
            check.Add([new("/name", "is what the audit trail calls somebody else")]);
        }

        return ValueTask.CompletedTask;
    }
}

[ShownAs(typeof(UserView))]
public sealed record ChangeUser(Role? Role = null, string? Password = null, bool? Disabled = null) : ICheckedBody
{
    ValueTask ICheckedBody.CheckAsync(BodyCheck check)
    {
        check.Add(Password is null ? [] : Passwords.Check("/password", Password));
        return ValueTask.CompletedTask;
    }
}
