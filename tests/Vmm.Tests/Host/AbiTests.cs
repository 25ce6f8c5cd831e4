using System.Reflection;
using System.Runtime.InteropServices;
using WebVm.Vmm.Host.Native;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

/// <summary>Every struct, offset and constant shared with the kernel is what the C headers say.</summary>
public sealed class AbiTests
{
    private static readonly Type[] s_types = [.. typeof(KvmCalls).Assembly.GetTypes().Where(type => type.Namespace == typeof(KvmCalls).Namespace)];

    [Fact]
    public void EveryStructHasTheLayoutOfItsCType()
    {
        var program = new CHeaderProbe();
        foreach (var type in s_types.Where(type => type.GetCustomAttribute<NativeTypeAttribute>() is not null))
        {
            var attribute = type.GetCustomAttribute<NativeTypeAttribute>()!;
            string cType = attribute.Name ?? $"struct {type.Name}";
            program.Include(attribute.Headers);
            program.Expect($"sizeof({cType})", Marshal.SizeOf(type));
            ExpectFields(program, cType, type, "", 0);
        }

        Assert.Empty(program.Differences());
    }

    [Fact]
    public void EveryConstantHasTheValueOfItsCConstant()
    {
        // One C program a class, as headers of glibc and of Linux that define the same things do not go together.
        List<string> differences = [];
        foreach (var type in s_types.Where(type => type.GetCustomAttribute<NativeConstantsAttribute>() is not null))
        {
            var program = new CHeaderProbe();
            program.Include(type.GetCustomAttribute<NativeConstantsAttribute>()!.Headers);
            foreach (var constant in type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic).Where(field => field.IsLiteral))
            {
                program.Expect(constant.Name, Convert.ToInt64(constant.GetRawConstantValue() is ulong wide ? unchecked((long)wide) : constant.GetRawConstantValue()));
            }

            differences.AddRange(program.Differences());
        }

        Assert.Empty(differences);
    }

    [Fact]
    public void NothingSharedWithTheKernelIsLeftUnchecked()
    {
        var unchecked_ = s_types
            .Where(type => type is { IsValueType: true, IsEnum: false } && !type.Name.Contains('<', StringComparison.Ordinal))
            .Where(type => type.GetCustomAttribute<NativeTypeAttribute>() is null && type.GetCustomAttribute<NativeAnonymousAttribute>() is null);
        Assert.Empty(unchecked_);

        var constants = s_types
            .Where(type => type.GetCustomAttribute<NativeConstantsAttribute>() is null)
            .SelectMany(type => type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic))
            .Where(field => field.IsLiteral && !field.DeclaringType!.IsEnum);
        Assert.Empty(constants);
    }

    [Fact]
    public void AWrongOffsetIsNoticed()
    {
        var program = new CHeaderProbe();
        program.Include("linux/kvm.h");
        program.Expect("offsetof(struct kvm_regs, rip)", 120);
        program.Expect("KVM_RUN", 0xae80);
        Assert.Equal("offsetof(struct kvm_regs, rip): 120 in C#, 128 in C", Assert.Single(program.Differences()));
    }

    private static void ExpectFields(CHeaderProbe program, string cType, Type type, string prefix, int start)
    {
        foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public))
        {
            string path = prefix + (field.GetCustomAttribute<NativeFieldAttribute>()?.Name ?? field.Name);
            int offset = start + (int)Marshal.OffsetOf(type, field.Name);
            program.Expect($"offsetof({cType}, {path})", offset);
            if (field.FieldType.GetCustomAttribute<NativeAnonymousAttribute>() is not null)
            {
                ExpectFields(program, cType, field.FieldType, path + ".", offset);
            }
            else
            {
                program.Expect($"sizeof((({cType} *)0)->{path})", SizeOf(field.FieldType));
            }
        }
    }

    private static int SizeOf(Type type) => type.IsPointer ? nint.Size : Marshal.SizeOf(type);
}
