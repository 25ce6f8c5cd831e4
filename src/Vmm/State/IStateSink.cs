using WebVm.Vmm.Host;

namespace WebVm.Vmm.State;

/// <summary>The contents of a region of memory, beside the sections.</summary>
/// <param name="Name">Unique in the state.</param>
/// <param name="Size">Bytes, a multiple of the page size.</param>
public sealed record StateContents(string Name, ulong Size);

/// <summary>
/// Where a state goes: all sections in their order (<see cref="StateUnits"/>), then the contents of memory, then the end.
/// </summary>
public interface IStateSink
{
    /// <exception cref="IOException">It cannot be written.</exception>
    void WriteSections(IReadOnlyList<StateSection> sections);

    /// <param name="source">The contents, sparse.</param>
    /// <param name="reached">Told now and then up to which offset they are written.</param>
    /// <returns>Bytes written; pages of zeros are not.</returns>
    /// <exception cref="IOException">They cannot be written.</exception>
    long WriteContents(
        StateContents contents, FileDescriptor source, Action<long>? reached = null, CancellationToken cancellation = default);

    /// <summary>Everything has been written. What ends without this is no state.</summary>
    void Complete();
}

/// <summary>Where a state comes from, in the order in which it was written. Anybody may have made it.</summary>
public interface IStateSource
{
    /// <summary>What messages call it.</summary>
    string Name { get; }

    /// <summary>All sections; once, and first. They are sound JSON, and bounded; what they say is not looked at.</summary>
    /// <exception cref="InvalidDataException">It is no state. The message says why.</exception>
    IReadOnlyList<StateSection> ReadSections();

    /// <summary>Looks whether the contents are there, as far as that can be told before they are read.</summary>
    /// <param name="faults">Gets what is wrong.</param>
    /// <returns>Bytes of data that they hold; null where that shows only when they are read.</returns>
    long? Look(StateContents contents, List<string> faults);

    /// <summary>Reads contents into a file of their size that is known to be zero, in the order in which they were written.</summary>
    /// <exception cref="InvalidDataException">They are not there, or damaged.</exception>
    void ReadContents(StateContents contents, FileDescriptor target);

    /// <summary>Makes sure that nothing is missing. What was read before may be used only then.</summary>
    /// <exception cref="InvalidDataException">There is no end, or something else comes before it.</exception>
    void Complete();
}
