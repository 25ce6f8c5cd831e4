using WebVm.Api.Events;
using WebVm.Api.Persistence.Entities;
using Xunit;

namespace WebVm.Api.Tests.Events;

/// <summary>The newest events in memory.</summary>
public sealed class EventTailTests
{
    private static readonly Guid s_vm = Guid.NewGuid();

    private readonly EventTail _tail = new();

    [Fact]
    public void A_reader_gets_each_event_behind_its_position_once_and_then_nothing()
    {
        _tail.Begin(10);
        // Ids have gaps.
        Array.ForEach([11L, 13L, 14L, 20L], Add);
        long position = 10;
        Assert.Equal([11, 13, 14, 20], Ids(_tail.Read(ref position, null)));
        Assert.Equal(20, position);
        Assert.Empty(_tail.Read(ref position, null)!);
        position = 12;
        Assert.Equal([13, 14, 20], Ids(_tail.Read(ref position, null)));
        Add(21);
        Assert.Equal([21], Ids(_tail.Read(ref position, null)));
    }

    [Fact]
    public void A_position_passes_what_is_of_other_VMs()
    {
        _tail.Begin(0);
        _tail.Add(Event(1, s_vm));
        _tail.Add(Event(2, Guid.NewGuid()));
        long position = 0;
        Assert.Equal([1], Ids(_tail.Read(ref position, s_vm)));
        Assert.Equal(2, position);
    }

    [Fact]
    public void Who_is_behind_what_is_kept_is_told_so()
    {
        _tail.Begin(10);
        long position = 9;
        Assert.Null(_tail.Read(ref position, null));
        for (int i = 0; i < EventTail.MostEvents + 5; i++)
        {
            Add(11 + i);
        }

        position = 14;
        Assert.Null(_tail.Read(ref position, null));
        position = 15;
        Assert.Equal(EventTail.MostEvents, _tail.Read(ref position, null)!.Count);
    }

    [Fact]
    public void Large_events_do_not_fill_the_memory()
    {
        _tail.Begin(0);
        string large = $$"""{"text":"{{new string('x', 100_000)}}"}""";
        for (int i = 1; i <= 1000; i++)
        {
            _tail.Add(Event(i, null, large));
        }

        long position = 0;
        Assert.Null(_tail.Read(ref position, null));
        for (position = 999; _tail.Read(ref position, null) is { } kept; position = 1000 - kept.Count - 1)
        {
            Assert.True(kept.Sum(happened => (long)happened.Weight) <= EventTail.MostBytes);
        }
    }

    private void Add(long id) => _tail.Add(Event(id, null));

    private static TailedEvent Event(long id, Guid? vm, string data = "{}") =>
        new(new EventRecord { Id = id, Type = "vm.changed", Subject = "/x", VmId = vm, Data = data });

    private static IEnumerable<long> Ids(IReadOnlyList<TailedEvent>? events) => events!.Select(happened => happened.Record.Id);
}
