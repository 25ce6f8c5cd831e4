using Iced.Intel;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>
/// Makes random instructions of a given opcode for 64-bit or 32-bit code. Never names RSP, and memory operands are simple enough to aim.
/// </summary>
internal sealed class InstructionGenerator(Random random, int bitness)
{
    /// <summary>False if an operand is of a kind that is not made here.</summary>
    public bool TryCreate(Code code, bool memory, out Instruction instruction)
    {
        instruction = new Instruction { Code = code };
        var info = code.ToOpCode();
        // In 64-bit code now and then with 32-bit addresses.
        bool wide = bitness == 64 && random.Next(4) != 0;
        if (code is Code.Enterw_imm16_imm8 or Code.Enterd_imm16_imm8 or Code.Enterq_imm16_imm8)
        {
            SetImmediate(ref instruction, 0, OpKind.Immediate16, random.Next(256));
            SetImmediate(ref instruction, 1, OpKind.Immediate8_2nd, random.Next(40));
            return true;
        }

        for (int i = 0; i < info.OpCount; i++)
        {
            switch (info.GetOpKind(i))
            {
                case OpCodeOperandKind.r8_or_mem: RegisterOrMemory(ref instruction, i, Byte(), memory, wide); break;
                case OpCodeOperandKind.r16_or_mem: RegisterOrMemory(ref instruction, i, Word(), memory, wide); break;
                case OpCodeOperandKind.r32_or_mem: RegisterOrMemory(ref instruction, i, DoubleWord(), memory, wide); break;
                case OpCodeOperandKind.r64_or_mem: RegisterOrMemory(ref instruction, i, QuadWord(), memory, wide); break;
                case OpCodeOperandKind.mem: Memory(ref instruction, i, wide); break;
                case OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode: SetRegister(ref instruction, i, Byte()); break;
                case OpCodeOperandKind.r16_reg or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r16_rm:
                    SetRegister(ref instruction, i, Word());
                    break;
                case OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.r32_rm or OpCodeOperandKind.r32_vvvv:
                    SetRegister(ref instruction, i, DoubleWord());
                    break;
                case OpCodeOperandKind.r64_reg or OpCodeOperandKind.r64_opcode or OpCodeOperandKind.r64_rm or OpCodeOperandKind.r64_vvvv:
                    SetRegister(ref instruction, i, QuadWord());
                    break;
                case OpCodeOperandKind.al: SetRegister(ref instruction, i, Register.AL); break;
                case OpCodeOperandKind.cl: SetRegister(ref instruction, i, Register.CL); break;
                case OpCodeOperandKind.ax: SetRegister(ref instruction, i, Register.AX); break;
                case OpCodeOperandKind.eax: SetRegister(ref instruction, i, Register.EAX); break;
                case OpCodeOperandKind.rax: SetRegister(ref instruction, i, Register.RAX); break;
                case OpCodeOperandKind.imm8_const_1: SetImmediate(ref instruction, i, OpKind.Immediate8, 1); break;
                case OpCodeOperandKind.imm8: SetImmediate(ref instruction, i, OpKind.Immediate8, (byte)random.Next()); break;
                case OpCodeOperandKind.imm8sex16: SetImmediate(ref instruction, i, OpKind.Immediate8to16, (sbyte)random.Next()); break;
                case OpCodeOperandKind.imm8sex32: SetImmediate(ref instruction, i, OpKind.Immediate8to32, (sbyte)random.Next()); break;
                case OpCodeOperandKind.imm8sex64: SetImmediate(ref instruction, i, OpKind.Immediate8to64, (sbyte)random.Next()); break;
                case OpCodeOperandKind.imm16: SetImmediate(ref instruction, i, OpKind.Immediate16, (ushort)random.Next()); break;
                case OpCodeOperandKind.imm32: SetImmediate(ref instruction, i, OpKind.Immediate32, (uint)random.NextInt64()); break;
                case OpCodeOperandKind.imm32sex64: SetImmediate(ref instruction, i, OpKind.Immediate32to64, (int)random.NextInt64()); break;
                case OpCodeOperandKind.imm64:
                    SetImmediate(ref instruction, i, OpKind.Immediate64, random.NextInt64(long.MinValue, long.MaxValue)); break;
                case OpCodeOperandKind.seg_rSI: instruction.SetOpKind(i, wide ? OpKind.MemorySegRSI : OpKind.MemorySegESI); break;
                case OpCodeOperandKind.es_rDI: instruction.SetOpKind(i, wide ? OpKind.MemoryESRDI : OpKind.MemoryESEDI); break;
                case OpCodeOperandKind.seg_rBX_al:
                    instruction.SetOpKind(i, OpKind.Memory);
                    instruction.MemoryBase = wide ? Register.RBX : Register.EBX;
                    instruction.MemoryIndex = Register.AL;
                    break;
                default: return false;
            }
        }

        return true;
    }

    private static void SetRegister(ref Instruction instruction, int operand, Register register)
    {
        instruction.SetOpKind(operand, OpKind.Register);
        instruction.SetOpRegister(operand, register);
    }

    private static void SetImmediate(ref Instruction instruction, int operand, OpKind kind, long value)
    {
        instruction.SetOpKind(operand, kind);
        instruction.SetImmediate(operand, value);
    }

    private void RegisterOrMemory(ref Instruction instruction, int operand, Register register, bool memory, bool wide)
    {
        if (memory)
        {
            Memory(ref instruction, operand, wide);
        }
        else
        {
            SetRegister(ref instruction, operand, register);
        }
    }

    private void Memory(ref Instruction instruction, int operand, bool wide)
    {
        instruction.SetOpKind(operand, OpKind.Memory);
        instruction.MemoryBase = Address(wide);
        instruction.MemoryDisplSize = wide ? 8 : 4;
        long displacement = random.Next(-300, 300);
        instruction.MemoryDisplacement64 = wide ? (ulong)displacement : (uint)displacement;
        if (random.Next(2) == 0)
        {
            do
            {
                instruction.MemoryIndex = Address(wide);
            }
            while (instruction.MemoryIndex == instruction.MemoryBase);

            instruction.MemoryIndexScale = 1 << random.Next(4);
        }
    }

    private Register Address(bool wide) => (wide ? Register.RAX : Register.EAX) + Number();

    private Register Byte()
    {
        if (bitness != 64)
        {
            return Register.AL + random.Next(8);
        }

        while (true)
        {
            var register = Register.AL + random.Next(20);
            if (register != Register.SPL)
            {
                return register;
            }
        }
    }

    private Register Word() => Register.AX + Number();

    private Register DoubleWord() => Register.EAX + Number();

    private Register QuadWord() => Register.RAX + Number();

    private int Number()
    {
        int number = random.Next(bitness == 64 ? 15 : 7);
        return number >= 4 ? number + 1 : number;
    }
}
