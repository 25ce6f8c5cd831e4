using System.Buffers.Text;
using System.Collections;
using System.Linq.Expressions;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace WebVm.Api.Conventions;

/// <summary>A page of whatever.</summary>
internal interface IPage
{
    IEnumerable Items { get; }

    string? NextCursor { get; }

    Type ItemType { get; }
}

/// <summary>A page of a list.</summary>
/// <param name="NextCursor">Given back as <c>?cursor=</c> for the next page; absent on the last.</param>
public sealed record Page<T>(IReadOnlyList<T> Items, string? NextCursor) : IPage
{
    IEnumerable IPage.Items => Items;

    Type IPage.ItemType => typeof(T);

    /// <summary>The page of what clients see.</summary>
    public Page<TView> Select<TView>(Func<T, TView> view) => new([.. Items.Select(view)], NextCursor);
}

/// <summary>Query parameters of every list.</summary>
/// <param name="Limit">Items a page.</param>
/// <param name="Cursor">Where the page before ended.</param>
/// <param name="Sort">A field, with "-" before it for the other direction.</param>
public readonly record struct PageRequest(int? Limit, string? Cursor, string? Sort)
{
    public const int DefaultLimit = 100;
    public const int LargestLimit = 1000;

    public const string LimitMeaning = "Items a page; 100 unless told.";
    public const string LimitOfAllMeaning = "Items a page; all unless told.";
    public const string CursorMeaning = "nextCursor of the page before.";

    public static FieldFault BadCursor { get; } = new("?cursor", "is not a cursor of this list in this order");

    /// <summary>The key of the last item of the page before; null for none, or for what is no cursor.</summary>
    public string? DecodeCursor()
    {
        try
        {
            return Cursor is null ? null : Encoding.UTF8.GetString(Base64Url.DecodeFromChars(Cursor));
        }
        catch (FormatException)
        {
            return null;
        }
    }

    public static string EncodeCursor(string key) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(key));
}

/// <summary>
/// The orders that a list comes in. Each goes by a key that no two rows share, so that a page is found by the key of the last item of the
/// one before, by an index, and rows that come or go meanwhile repeat or hide none of the others.
/// </summary>
/// <param name="all">Whether the list comes whole unless a limit is told.</param>
/// <param name="orders">The first is the default.</param>
internal sealed class ListOrders<T>(bool all, params ListOrder<T>[] orders)
    where T : class
{
    /// <summary>What <c>?sort=</c> may say.</summary>
    public IReadOnlyList<string> Names { get; } = [.. orders.Select(order => order.Name)];

    /// <summary>Reads a page.</summary>
    public async Task<(Page<T>? Page, ProblemHttpResult? Refusal)> ReadAsync(
        IQueryable<T> query, PageRequest request, CancellationToken cancellation)
    {
        var order = orders.FirstOrDefault(order => order.Name == request.Sort) ?? orders[0];
        if (request.Cursor is not null)
        {
            // The order is part of the cursor: another order has other places.
            if (request.DecodeCursor() is not { } text || !text.StartsWith(order.Name + "\n", StringComparison.Ordinal)
                || order.After(query, text[(order.Name.Length + 1)..]) is not { } rest)
            {
                return (null, Problems.Invalid([PageRequest.BadCursor]));
            }

            query = rest;
        }

        int size = request.Limit ?? (all ? int.MaxValue - 1 : PageRequest.DefaultLimit);
        var found = await order.Sorted(query).Take(size + 1).ToListAsync(cancellation);
        string? next = found.Count > size ? PageRequest.EncodeCursor($"{order.Name}\n{order.KeyOf(found[size - 1])}") : null;
        return (new(found.Count > size ? found[..size] : found, next), null);
    }
}

/// <summary>One order of a list.</summary>
internal abstract class ListOrder<T>(string name)
{
    public string Name => name;

    public abstract IQueryable<T> Sorted(IQueryable<T> query);

    /// <summary>What comes after a key; null when that is no key.</summary>
    public abstract IQueryable<T>? After(IQueryable<T> query, string key);

    public abstract string KeyOf(T item);

    public static ListOrder<T> ByName(string name, Expression<Func<T, string>> key, bool descending = false) =>
        new TextOrder(name, key, descending);

    /// <summary>Ids are UUIDs of version 7: their order is that of creation (RFC 9562 §5.7).</summary>
    public static ListOrder<T> ById(string name, Expression<Func<T, Guid>> key, bool descending = false) =>
        new IdOrder(name, key, descending);

    /// <summary>By a time that rows may share; those that do go by their ids.</summary>
    public static ListOrder<T> ByTime(
        string name, Expression<Func<T, DateTimeOffset>> time, Expression<Func<T, Guid>> id,
        bool descending = false) => new TimeOrder(name, time, id, descending);

    public static ListOrder<T> ByNumber(string name, Expression<Func<T, long>> key, bool descending = false) =>
        new NumberOrder(name, key, descending);

    private abstract class Keyed<TKey>(string name, Expression<Func<T, TKey>> key, bool descending) : ListOrder<T>(name)
    {
        private readonly Func<T, TKey> _key = key.Compile();

        public override IQueryable<T> Sorted(IQueryable<T> query) => descending ? query.OrderByDescending(key) : query.OrderBy(key);

        public override string KeyOf(T item) => FormattableString.Invariant($"{_key(item)}");

        protected IQueryable<T> Beyond(IQueryable<T> query, Func<Expression, Expression> sign)
        {
            var zero = Expression.Constant(0);
            var compared = sign(key.Body);
            return query.Where(
                Expression.Lambda<Func<T, bool>>(
                    descending ? Expression.LessThan(compared, zero) : Expression.GreaterThan(compared, zero), key.Parameters));
        }

    }

    /// <summary>A value that becomes a parameter of the statement.</summary>
    private static MemberExpression Parameter<TValue>(TValue value) =>
        Expression.Property(Expression.Constant(new Holder<TValue>(value)), nameof(Holder<>.Value));

    private sealed record Holder<TValue>(TValue Value);

    private sealed class TextOrder(string name, Expression<Func<T, string>> key, bool descending) : Keyed<string>(name, key, descending)
    {
        public override IQueryable<T> After(IQueryable<T> query, string key) =>
            Beyond(query, body => Expression.Call(typeof(string), nameof(string.Compare), null, body, Parameter(key)));
    }

    private sealed class IdOrder(string name, Expression<Func<T, Guid>> key, bool descending) : Keyed<Guid>(name, key, descending)
    {
        public override IQueryable<T>? After(IQueryable<T> query, string key) =>
            Guid.TryParse(key, out var id)
                ? Beyond(
                    query, body => Expression.Call(body, typeof(Guid).GetMethod(nameof(Guid.CompareTo), [typeof(Guid)])!, Parameter(id)))
                : null;
    }

    private sealed class NumberOrder(string name, Expression<Func<T, long>> key, bool descending) : Keyed<long>(name, key, descending)
    {
        public override IQueryable<T>? After(IQueryable<T> query, string key) =>
            long.TryParse(key, out long number)
                ? Beyond(
                    query, body => Expression.Call(
                        body, typeof(long).GetMethod(nameof(long.CompareTo), [typeof(long)])!, Parameter(number)))
                : null;
    }

    private sealed class TimeOrder(string name, Expression<Func<T, DateTimeOffset>> time, Expression<Func<T, Guid>> id, bool descending)
        : ListOrder<T>(name)
    {
        private readonly Func<T, DateTimeOffset> _time = time.Compile();
        private readonly Func<T, Guid> _id = id.Compile();

        public override IQueryable<T> Sorted(IQueryable<T> query) =>
            descending ? query.OrderByDescending(time).ThenByDescending(id) : query.OrderBy(time).ThenBy(id);

        public override string KeyOf(T item) => FormattableString.Invariant($"{_time(item).UtcTicks}/{_id(item)}");

        // Not before its time, which the index finds, and of the same time those behind its id.
        public override IQueryable<T>? After(IQueryable<T> query, string key)
        {
            if (key.Split('/') is not [var ticks, var last] || !long.TryParse(ticks, out long count) || count < 0
                || count > DateTimeOffset.MaxValue.Ticks || !Guid.TryParse(last, out var lastId))
            {
                return null;
            }

            var at = Parameter(new DateTimeOffset(count, TimeSpan.Zero));
            var sameId = new OneParameter(id.Parameters[0], time.Parameters[0]).Visit(id.Body);
            var order = Expression.Call(sameId, typeof(Guid).GetMethod(nameof(Guid.CompareTo), [typeof(Guid)])!, Parameter(lastId));
            var zero = Expression.Constant(0);
            var beyond = descending
                ? Expression.AndAlso(
                    Expression.LessThanOrEqual(time.Body, at),
                    Expression.OrElse(Expression.LessThan(time.Body, at), Expression.LessThan(order, zero)))
                : Expression.AndAlso(
                    Expression.GreaterThanOrEqual(time.Body, at),
                    Expression.OrElse(Expression.GreaterThan(time.Body, at), Expression.GreaterThan(order, zero)));
            return query.Where(Expression.Lambda<Func<T, bool>>(beyond, time.Parameters));
        }

        /// <summary>Two lambdas of one item become one.</summary>
        private sealed class OneParameter(ParameterExpression theirs, ParameterExpression ours) : ExpressionVisitor
        {
            protected override Expression VisitParameter(ParameterExpression node) => node == theirs ? ours : node;
        }
    }
}
